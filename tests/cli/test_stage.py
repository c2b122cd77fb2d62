"""What a person sees: every line whole."""

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rich.console import Console

from trunkline.cli.demo import DemoReport
from trunkline.cli.stage import Stage
from trunkline.pipeline import Event, EventType, RealtimeBridge
from trunkline.pipeline.latency import TurnLatency
from trunkline.testing.fake_provider import FakeProvider


def shown(*events: tuple[EventType, dict[str, Any]]) -> list[str]:
    paper = StringIO()
    stage = Stage(Console(file=paper, width=200))
    for kind, data in events:
        stage.show(Event(kind, datetime(2026, 1, 1, tzinfo=UTC), data, offset_ms=1500))
    stage.scene("the caller hangs up")
    return [line.strip() for line in paper.getvalue().splitlines()]


def words(text: str, *, is_final: bool = False) -> tuple[EventType, dict[str, Any]]:
    return EventType.AGENT_TRANSCRIPT, {"text": text, "is_final": is_final, "item_id": "a1"}


def test_what_comes_amid_the_words_waits_for_the_end_of_their_line() -> None:
    speaks = (EventType.AGENT_SPEECH_START, {"item_id": "a1", "latency_ms": 300})
    assert shown(words("We "), speaks, words("are open."), words("We are open.", is_final=True)) == [
        "1.50 s  agent  We are open.",
        "1.50 s  agent  speaks after 300 ms",
        "the caller hangs up",
    ]


def test_the_latency_of_an_answer_without_words_is_told_at_once() -> None:
    speaks = (EventType.AGENT_SPEECH_START, {"item_id": "a1", "latency_ms": 300})
    assert shown(speaks)[0] == "1.50 s  agent  speaks after 300 ms"


def test_what_callers_and_tools_say_is_no_markup() -> None:
    call = {"name": "t", "arguments": {"a": "[red]"}, "result": "[/nonsense]", "duration_ms": 1}
    assert shown((EventType.TOOL_CALL, call), words("[bold]", is_final=True))[:2] == [
        "1.50 s  tool   t(a='[red]') → [/nonsense]",
        "1.50 s  agent  [bold]",
    ]


async def test_closing_figures_have_a_row_for_each_answer_and_no_python_objects() -> None:
    nothing_happened = RealtimeBridge.for_twilio(FakeProvider()).metrics()
    receipts = (
        TurnLatency(item_id="a1", trigger="greeting", provider_ms=147, playout_ms=153, mark_ms=None),
        TurnLatency(
            item_id="a2",
            trigger="speech",
            provider_ms=1838,
            playout_ms=1860,
            mark_ms=2250,
            tool_ms=50,
            endpointing_ms=16,
        ),
    )
    paper = StringIO()
    report = DemoReport(
        events=(),
        transcript=(),
        metrics=replace(nothing_happened, receipts=receipts),
        truncated=(),
        files={},
        missing=(),
    )
    Stage(Console(file=paper, width=100)).finish(report)
    rows = [line.split() for line in paper.getvalue().splitlines()]
    assert ["greeting", "-", "0", "0", "147", "153", "-"] in rows
    assert ["speech", "16", "0", "50", "1788", "1860", "2250"] in rows
    assert not set("{}()[]") & set(paper.getvalue())
