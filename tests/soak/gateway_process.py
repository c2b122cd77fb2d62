"""The gateway under test, alone in its process: reads commands from stdin, one a line, and writes what it is asked for as JSON lines.

The garbage collector is off, so that a call which leaves a cycle is seen in the memory.

Commands: `state` (what the process holds), `break` (the fake vendor's connection breaks in its next answer), `calm` (it does not break
after all), `stop`. Each call that has ended is told without being asked.
"""

import argparse
import gc
import json
import logging
import sys
from functools import partial
from itertools import count
from typing import Any

import anyio
import anyio.to_thread

from tests.soak.measure import snapshot
from tests.soak.tools import GATEWAY_TOOLS, NAMES
from tests.testing.suites.fake_stage import FakeStage
from trunkline.clock import Clock, ScaledClock
from trunkline.gateway import CallSession, EventType
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.realtime.provider import RealtimeProvider
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain
from trunkline.testing.fake_provider import BAREST
from trunkline.testing.suites import Scene, Trouble

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
GREETING = "Hello."
PATIENCE = 240.0
"""Seconds of the fast clock that connecting and answering may take, so that a busy machine is no fault of the gateway's."""
_turns = count()


def next_answer(history: Any) -> list[Say | CallTool]:
    """The next of the tools, in turn over all calls, and a sentence once it has answered."""
    lines: list[Heard] = list(history)
    if lines and lines[-1].role == "user":
        name = NAMES[next(_turns) % len(NAMES)]
        return [CallTool(name, {"city": "Berlin"})]
    return [Say("It is done." if lines and lines[-1].role == "tool" else GREETING)]


class ErrorCount(logging.Handler):
    """Counts what is logged as an error, and keeps the last sentences."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.last: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self.last = [*self.last[-4:], text]


def tell(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def fake_vendor() -> FakeStage:
    """A vendor that can do nothing but listen and answer."""
    stage = FakeStage(Scene(), BAREST, keep_audio=False)
    words = ("yes please" for _ in count())
    stage.brain = ScriptedBrain(transcripts=words, answers=next_answer, ms_per_character=60)
    return stage


async def watch(session: CallSession) -> None:
    """Tell how the call went once it is over."""
    ends: list[str] = []
    tools: list[dict[str, str]] = []
    errors: list[str] = []
    async for event in session.events():
        if event.type is EventType.SESSION_ENDED:
            ends.append(str(event.data["reason"]))
        elif event.type is EventType.TOOL_CALL:
            tools.append({key: str(event.data.get(key, "")) for key in ("name", "result", "error")})
        elif event.type is EventType.ERROR:
            errors.append(repr(event.error))
    tell(call=session.id, ends=ends, tools=tools, errors=errors)


async def serve(options: argparse.Namespace, errors: ErrorCount) -> None:
    clock: Clock = ScaledClock(options.factor)
    fake = fake_vendor()
    provider: RealtimeProvider = fake.provider
    if options.vendor_url:
        provider = OpenAIRealtimeProvider(
            api_key="sk-test", base_url=options.vendor_url, connect_timeout=PATIENCE, ping_timeout=PATIENCE, clock=clock
        )
    gateway = TwilioGateway(
        listen_addr="127.0.0.1:0",
        auth_token=AUTH_TOKEN,
        realtime_provider=provider,
        greeting=GREETING,
        max_concurrent_calls=options.places,
        start_timeout=PATIENCE,
        clock=clock,
        **GATEWAY_TOOLS,
    )
    gateway.on_session(watch)
    async with gateway:
        tell(url=gateway.url)
        while True:
            match (await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)).strip():
                case "state":
                    calls = len(gateway.list_sessions())
                    tell(state=snapshot() | {"calls": calls, "logged": errors.count, "log": errors.last})
                case "break":
                    fake.inflict(Trouble.DROP)
                case "calm":
                    fake.troubles.clear()
                case _:
                    return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="asyncio")
    parser.add_argument("--vendor-url", default="")
    parser.add_argument("--factor", type=float, default=5.0)
    parser.add_argument("--places", type=int, default=8)
    options = parser.parse_args()
    gc.disable()
    errors = ErrorCount()
    logging.getLogger().addHandler(errors)
    anyio.run(partial(serve, options, errors), backend=options.backend)


if __name__ == "__main__":
    main()
