"""What a person sees of the demo while it runs, and when it is over."""

from typing import Final

from rich.console import Console
from rich.table import Table

from trunkline.cli.demo import DemoReport
from trunkline.pipeline import Event, EventType, Metrics

STYLES: Final = {"caller": "bold cyan", "agent": "bold green", "tool": "magenta", "cut": "yellow", "error": "bold red"}


class Stage:
    """Prints a call's events as lines, words as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open_line: tuple[str, str] | None = None
        self._told: set[str] = set()
        self._held: tuple[Event, str] | None = None

    def scene(self, text: str) -> None:
        """What happens outside the media: dialling, what the caller is about to do, hanging up."""
        self._end_line()
        self._console.print(f"          {text}", style="dim italic", highlight=False)

    def show(self, event: Event) -> None:
        """One event of the call."""
        match event.type:
            case EventType.USER_TRANSCRIPT:
                self._words("caller", event)
            case EventType.AGENT_TRANSCRIPT:
                self._words("agent", event)
            case EventType.AGENT_SPEECH_START if event.data["latency_ms"] is not None:
                self._held = (event, f"speaks after {event.data['latency_ms']} ms")
                if self._open_line is None:
                    self._end_line()
            case EventType.USER_SPEECH_START:
                self._line(event, "caller", "speaks", style="dim")
            case EventType.TOOL_CALL:
                arguments = ", ".join(f"{name}={value!r}" for name, value in event.data["arguments"].items())
                answer = event.data.get("error") or event.data["result"]
                self._line(event, "tool", f"{event.data['name']}({arguments}) → {answer}")
            case EventType.INTERRUPTION:
                heard, whole = event.data["heard_ms"], event.data["generated_ms"]
                self._line(event, "cut", f"the caller heard {heard} of {whole} ms: “{event.text} …”")
            case EventType.ERROR:
                self._line(event, "error", str(event.error))
            case EventType.SESSION_STARTED:
                self._line(event, "call", f"connected to {event.data['provider']}, {event.data['model']}", style="dim")
            case EventType.SESSION_ENDED:
                self._line(event, "call", f"over: {event.data['reason']}", style="dim")
            case _:
                pass

    def finish(self, report: DemoReport) -> None:
        """The figures, the files, and what was missing."""
        self._end_line()
        self._console.print()
        self._console.print(_figures(report.metrics))
        self._console.print()
        self._console.print(_latencies(report.metrics))
        self._console.print()
        for name, path in report.files.items():
            self._console.print(f"{name:>12}  {path}", highlight=False, soft_wrap=True)
        for missing in report.missing:
            self._console.print(f"not shown: {missing}", style=STYLES["error"])

    def _words(self, who: str, event: Event) -> None:
        item = str(event.data["item_id"])
        if not event.data["is_final"]:
            if self._open_line != (who, item):
                self._begin_line(event, who)
                self._open_line = (who, item)
            self._told.add(item)
            self._console.print(event.text, end="", style=STYLES[who], highlight=False, markup=False, soft_wrap=True)
        elif item not in self._told:
            self._line(event, who, event.text or "(nothing that could be understood)")
        else:
            self._end_line()

    def _line(self, event: Event, who: str, text: str, *, style: str | None = None) -> None:
        self._begin_line(event, who)
        self._console.print(text, style=style or STYLES[who], highlight=False, markup=False, soft_wrap=True)

    def _begin_line(self, event: Event, who: str) -> None:
        self._end_line()
        self._console.print(f"{event.offset_ms / 1000:7.2f} s  {who:<7}", end="", style="dim", highlight=False)

    def _end_line(self) -> None:
        if self._open_line is not None:
            self._open_line = None
            self._console.print()
        if self._held is not None:  # what came amid the words of an open line
            (event, text), self._held = self._held, None
            self._line(event, "agent", text, style="dim")


def _figures(metrics: Metrics) -> Table:
    table = Table(title="The call in figures", title_justify="left", show_header=False, box=None)
    values = metrics.to_json()
    counters = values.pop("tools")
    del values["receipts"]  # they have a table of their own
    values |= {f"tool_{name}": count for name, count in counters.items() if count}
    for name, value in values.items():
        table.add_row(name.replace("_", " "), f"{value:.1f}" if isinstance(value, float) else str(value))
    return table


def _latencies(metrics: Metrics) -> Table:
    """A row for each answer: how long its parts took, in milliseconds."""
    table = Table(title="Where each answer's time went, in milliseconds", title_justify="left", box=None)
    for heading in ("answer to", "end of turn", "way up", "tools", "model", "first sent", "first heard"):
        table.add_column(heading, justify="left" if heading == "answer to" else "right")
    for turn in metrics.receipts:
        parts = (
            turn.endpointing_ms,
            turn.uplink_ms,
            turn.tool_ms,
            turn.provider_ms - turn.tool_ms,
            turn.playout_ms,
            turn.mark_ms,
        )
        table.add_row(turn.trigger, *("-" if part is None else str(part) for part in parts))
    return table
