"""A whole phone call, offline: caller, carrier, gateway and vendor in one process, joined by real sockets and real speech."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from trunkline.audio import TWILIO, AudioFormat, StreamConverter, convert, wav
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import Turn
from trunkline.gateway.call import CallSession
from trunkline.gateway.twilio import TwilioGateway
from trunkline.pipeline import Event, EventType, Metrics
from trunkline.realtime import OpenAIRealtimeProvider, RealtimeConfig
from trunkline.testing import LocalBrain, OpenAIRealtimeSimulator, TwilioCaller
from trunkline.tts.local import LocalSynthesizer

GREETING: Final = "Hello, this is the trunkline demo. How can I help you?"
QUESTION: Final = "what are your opening hours"
TOOL_QUESTION: Final = "what is the weather in London"
LONG_QUESTION: Final = "tell me about your services"
INTERRUPTION: Final = "what is the weather in Tokyo"
GOODBYE: Final = "thank you goodbye"

PATIENCE: Final = 8.0
"""Seconds that the caller waits for an answer before giving up."""

LISTENS: Final = 2.5
"""Seconds that the caller listens to a long answer before speaking over it."""

WEATHER: Final = {"London": ("light rain", 12), "Madrid": ("sunny", 24), "Tokyo": ("clear sky", 18)}


def get_weather(city: str) -> dict[str, Any]:
    """The weather in a city.

    Args:
        city: Name of the city.
    """
    if city not in WEATHER:
        raise LookupError(f"there is no report from {city}")
    conditions, temperature = WEATHER[city]
    return {"city": city, "conditions": conditions, "temperature": temperature}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What to play: the usual call, or one in which the caller says what is in `speech`; at the pace of `clock`."""

    speech: Path | None = None
    out: Path = Path("demo")
    clock: Clock = SYSTEM_CLOCK
    on_event: Callable[[Event], None] = field(default=lambda _: None)
    on_scene: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What came of the call; `missing` names what it was to show and did not."""

    events: tuple[Event, ...]
    transcript: tuple[Turn, ...]
    metrics: Metrics
    truncated: tuple[dict[str, Any], ...]
    files: dict[str, str]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "events": [event.to_json() for event in self.events],
            "transcript": [turn.to_json() for turn in self.transcript],
            "metrics": self.metrics.to_json(),
            "truncated": list(self.truncated),
            "files": self.files,
            "missing": list(self.missing),
        }


async def play(demo: Demo) -> DemoReport:
    """Play the call in real time and write its files."""
    speech = None if demo.speech is None else await anyio.to_thread.run_sync(_read, demo.speech)
    auth_token = secrets.token_hex(16)
    sessions: list[CallSession] = []
    events: list[Event] = []
    async with OpenAIRealtimeSimulator(brain=LocalBrain(), clock=demo.clock) as vendor:
        gateway = TwilioGateway(
            auth_token=auth_token,
            listen_addr="127.0.0.1:0",
            realtime_provider=OpenAIRealtimeProvider(api_key="demo", base_url=vendor.url, clock=demo.clock),
            realtime_config=RealtimeConfig(instructions="You are a receptionist. Be brief."),
            greeting=GREETING,
            tools=[get_weather],
            clock=demo.clock,
        )

        @gateway.on_session
        async def watch(session: CallSession) -> None:
            sessions.append(session)
            async for event in session.events():
                events.append(event)
                demo.on_event(event)

        async with gateway:
            demo.on_scene("the caller dials")
            async with TwilioCaller(
                webhook_url=f"{gateway.url}/voice/inbound", auth_token=auth_token, clock=demo.clock
            ) as call:
                caller = _Caller(call, demo)
                await (caller.hold_the_usual_call() if speech is None else caller.play(speech))
                demo.on_scene("the caller hangs up")
                await call.hang_up()
        truncated = tuple(event for event in vendor.received if event["type"] == "conversation.item.truncate")
    session = sessions[0]
    errors = [str(event.error) for event in events if event.type is EventType.ERROR]
    errors += [what for _, what in call.errors]
    missing = _missing(session, events) if demo.speech is None else ()
    report = DemoReport(
        events=tuple(events),
        transcript=session.transcript(),
        metrics=session.metrics(),
        truncated=truncated,
        files={},
        missing=(*missing, *(f"a call without errors: {error}" for error in errors)),
    )
    report.files.update(await anyio.to_thread.run_sync(_write_files, demo.out, report, call))
    return report


class _Caller:
    """The person on the phone: speaks, listens, and is not always polite."""

    def __init__(self, call: TwilioCaller, demo: Demo) -> None:
        self._call = call
        self._demo = demo
        self._voice = LocalSynthesizer()

    async def hold_the_usual_call(self) -> None:
        """A greeting, two questions, an interruption, a goodbye."""
        await self._hear_out()
        for sentence in (QUESTION, TOOL_QUESTION):
            await self._say(sentence)
            await self._hear_out()
        await self._say(LONG_QUESTION)
        if await self._hear_begin():
            clock = self._demo.clock
            await clock.sleep_until(clock.now() + LISTENS)
            self._demo.on_scene("the caller speaks over the agent")
            await self._say(INTERRUPTION)
            await self._hear_out()
        await self._say(GOODBYE)
        await self._hear_out()

    async def play(self, speech: bytes) -> None:
        """A greeting, what was recorded, and the answer to it."""
        await self._hear_out()
        self._demo.on_scene("the caller plays the recording")
        self._call.say(speech)
        await self._call.said()
        await self._hear_out()

    async def _say(self, sentence: str) -> None:
        speech = await self._voice.synthesize(sentence)
        telephone = StreamConverter(AudioFormat(encoding="linear16", sample_rate=speech.sample_rate), TWILIO)
        self._call.say(telephone.convert(speech.pcm) + telephone.flush())
        await self._call.said()

    async def _hear_begin(self) -> bool:
        with self._demo.clock.move_on_after(PATIENCE):
            await self._call.agent_started()
            return True
        return False

    async def _hear_out(self) -> None:
        if await self._hear_begin():
            await self._call.agent_finished(quiet_ms=700)


def _read(recording: Path) -> bytes:
    """A WAV file as the telephone carries it."""
    recorded_as, audio = wav.read(recording)
    return convert(audio, recorded_as, TWILIO)


def _missing(session: CallSession, events: list[Event]) -> tuple[str, ...]:
    """What the usual call shows, if everything works."""
    heard = [turn.text for turn in session.transcript() if turn.role == "user"]
    kinds = {event.type for event in events}
    wanted = {
        "the recognised question": QUESTION in heard,
        "the tool call": EventType.TOOL_CALL in kinds,
        "the interruption": EventType.INTERRUPTION in kinds,
        "a transcript cut to what was heard": any(turn.interrupted for turn in session.transcript()),
        "the goodbye": GOODBYE in heard,
    }
    return tuple(name for name, shown in wanted.items() if not shown)


def _write_files(out: Path, report: DemoReport, call: TwilioCaller) -> dict[str, str]:
    out.mkdir(parents=True, exist_ok=True)
    files = {name: str(out / name) for name in ("call.wav", "timeline.json", "transcript.txt")}
    stereo = AudioFormat(encoding="linear16", sample_rate=8000, channels=2)
    wav.write(out / "call.wav", stereo, _side_by_side(call.sent, call.heard))
    timeline = {
        "caller": [{"offset_ms": at, "event": what} for at, what in call.timeline],
        "gateway": [event.to_json() for event in report.events],
    }
    (out / "timeline.json").write_text(json.dumps(timeline, indent=2) + "\n")
    lines = [f"{turn.role:>5}: {turn.text}{' …' if turn.interrupted else ''}\n" for turn in report.transcript]
    (out / "transcript.txt").write_text("".join(lines))
    return files


def _side_by_side(left: bytes, right: bytes) -> bytes:
    """Two µ-law channels as one stereo recording, the shorter one filled up with silence."""
    length = max(len(left), len(right))
    mono = AudioFormat(encoding="linear16", sample_rate=8000)
    sides = [memoryview(convert(side.ljust(length, b"\xff"), TWILIO, mono)).cast("h") for side in (left, right)]
    stereo = memoryview(bytearray(4 * length)).cast("h")
    for channel, side in enumerate(sides):
        stereo[channel::2] = side
    return stereo.tobytes()
