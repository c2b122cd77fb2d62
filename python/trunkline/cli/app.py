"""The commands. Errors are one line that says what to do, exit status 1; wrong usage is 2."""

import json
import logging
import signal
from enum import StrEnum
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console

from trunkline.cli.convert import convert
from trunkline.cli.demo import Demo, DemoReport, play
from trunkline.cli.stage import Stage
from trunkline.errors import MissingExtra, TrunklineError
from trunkline.testing.local.receptionist import RECEPTIONIST_GRAMMAR

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


class Backend(StrEnum):
    """The event loops that the package runs on."""

    ASYNCIO = "asyncio"
    TRIO = "trio"


def run() -> None:
    """Run the command that was asked for."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(prog_name="trunkline")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except (TrunklineError, OSError) as error:
        Console(stderr=True).print(f"trunkline: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(1) from error


@app.callback(invoke_without_command=True)
def main(
    *, show_version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False
) -> None:
    """An AI voice agent on a telephone line."""
    if show_version:
        typer.echo(f"trunkline {version('trunkline')}")
        raise typer.Exit


SAYABLE = "\n\n".join(f"- {sentence}" for sentence in RECEPTIONIST_GRAMMAR.sentences)


@app.command(
    help="Play a whole phone call, offline: real speech, a tool call, an interruption.\n\n"
    "A simulated Twilio caller talks to the gateway, which is bridged to a simulated OpenAI Realtime service with ears and a voice of its "
    f"own.\n\nWhat the caller can say:\n\n{SAYABLE}\n\nAnything else is answered with a request to say it again."
)
def demo(
    *,
    backend: Annotated[Backend, typer.Option(help="The event loop to run on.")] = Backend.ASYNCIO,
    speech: Annotated[
        Path | None,
        typer.Option(help="WAV file with another sentence for the caller to say.", exists=True, dir_okay=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the recording and the reports go.")] = Path("demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one report for machines instead.")] = False,
) -> None:
    """Play a whole phone call, offline."""
    console = Console(quiet=as_json)
    stage = Stage(console)
    report = _run_on(backend, Demo(speech=speech, out=out, on_event=stage.show, on_scene=stage.scene))
    stage.finish(report)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    if report.missing:
        raise SystemExit(1)


app.command()(convert)


def _run_on(backend: Backend, what: Demo) -> DemoReport:
    if find_spec(backend) is None:
        raise MissingExtra("trio", "the trio backend")
    report = anyio.run(_play_until_interrupted, what, backend=backend)
    if report is None:
        raise SystemExit(INTERRUPTED)
    return report


async def _play_until_interrupted(what: Demo) -> DemoReport | None:
    """The call, or None after Ctrl-C: a signal that a task waits for ends it in order, wherever the call is just then."""
    report: DemoReport | None = None
    failure: Exception | None = None

    async def hang_up_on_ctrl_c(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hang_up_on_ctrl_c, tasks.cancel_scope)
        try:
            report = await play(what)
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return report
