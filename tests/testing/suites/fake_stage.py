"""The fake provider with a vendor that plays the scenes of the suite, and can do as much or as little as the capabilities say."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import anyio

from trunkline.audio.vad import EnergyDetector
from trunkline.errors import AuthFailed, ConnectionFailed, ProviderError, ProviderUnavailable, RateLimited
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEnding,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
    UserTurnCommitted,
)
from trunkline.realtime.provider import Capabilities
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain
from trunkline.testing.fake_provider import FakeProvider, FakeSession
from trunkline.testing.suites import Scene, Trouble

AT_THE_DOOR: dict[Trouble, ProviderError] = {
    Trouble.REFUSED: ProviderUnavailable("overloaded", vendor="fake"),
    Trouble.WRONG_KEY: AuthFailed("wrong key", vendor="fake"),
    Trouble.RATE_LIMITED: RateLimited("too many requests", vendor="fake"),
}
TROUBLES = {Trouble.DROP, Trouble.CLOSE, Trouble.EXPIRY, Trouble.ENDING, Trouble.ERROR, Trouble.STALL, *AT_THE_DOOR}
LOUD = 0.5
SILENCE_MS = 500
CHUNK_MS = 60
ROLES = {"user": "user", "agent": "assistant", "system": "system"}


class FakeStage:
    """What the suite asks of a vendor, over all sessions of one provider."""

    def __init__(self, scene: Scene, capabilities: Capabilities, *, keep_audio: bool = True) -> None:
        self.scene = scene
        self.keep_audio = keep_audio
        self.brain = ScriptedBrain(transcripts=scene.transcripts, answers=scene.answers, ms_per_character=20)
        self.troubles: deque[Trouble] = deque()
        self.tool_results: list[str] = []
        self.truncations: list[tuple[str, int]] = []
        self.instructions = ""
        if scene.commit:
            capabilities = replace(capabilities, answers_turns=False, interrupts_itself=False)
        self.provider = FakeProvider(capabilities=capabilities, script=lambda session: Model(self, session).run())

    def inflict(self, trouble: Trouble) -> None:
        if trouble in AT_THE_DOOR:
            self.provider.failures.append(AT_THE_DOOR[trouble])
        else:
            self.troubles.append(trouble)

    @property
    def open_sessions(self) -> int:
        return self.provider.running

    @property
    def heard(self) -> bytes:
        return b"".join(bytes(session.heard) for session in self.provider.sessions)


class Model:
    """The vendor's part of one session."""

    def __init__(self, stage: FakeStage, session: FakeSession) -> None:
        self.stage = stage
        self.session = session
        self.can = session.capabilities
        self.history: list[Heard] = []
        self.owed = False
        self.open_calls = {item.call_id for item in session.config.history if item.role == "tool_call"}
        self.given: deque[str] = deque()
        self.running: anyio.CancelScope | None = None
        self.interrupted = False
        self.changed = anyio.Event()
        stage.instructions = session.config.instructions or ""
        for item in session.config.history:
            if item.role in ROLES:
                self.history.append(Heard(ROLES[item.role], item.text))  # type: ignore[arg-type]
            elif item.role == "tool_result" and self.can.seeds_tool_calls:
                self.history.append(Heard("tool", item.text))
                self.open_calls.discard(item.call_id)
        if not self.can.seeds_tool_calls:
            self.open_calls.clear()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.take_commands)
            tasks.start_soon(self.listen)
            tasks.start_soon(self.speak)

    def change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def take_commands(self) -> None:
        while True:
            match await self.session.next_command():
                case ("text", str(text)):
                    self.history.append(Heard("user", text))
                    self.owed = True
                case ("create", _):
                    self.owed = True
                case ("say", str(text)):
                    self.given.append(text)
                case ("result", str(call_id), str(text)):
                    self.stage.tool_results.append(text)
                    self.history.append(Heard("tool", text))
                    self.open_calls.discard(call_id)
                    self.owed = self.owed or not self.open_calls
                case ("cancel",) if self.running is not None:
                    self.running.cancel()
                case ("truncate", str(item_id), int(heard_ms)):
                    self.stage.truncations.append((item_id, heard_ms))
                case ("instructions", str(text)):
                    self.stage.instructions = text
                case ("commit",):
                    await self.end_turn(self.session.new_id("user"))
                case _:
                    pass
            self.change()

    async def listen(self) -> None:
        if not self.can.answers_turns:
            return
        detector = EnergyDetector()
        taken = quiet_ms = 0
        turn = ""
        while True:
            await self.session.wait_heard(taken + 1)
            dropped = self.session.heard_bytes - len(self.session.heard)
            audio = bytes(self.session.heard[max(0, taken - dropped) :])
            taken = self.session.heard_bytes
            if not self.stage.keep_audio:
                self.session.heard.clear()
            for probability in detector.feed(audio):
                quiet_ms = 0 if probability >= LOUD else quiet_ms + detector.window_ms
                if not turn and quiet_ms == 0:
                    turn = self.session.new_id("user")
                    self.begin_turn(turn)
                elif turn and quiet_ms >= SILENCE_MS:
                    if self.can.reports_speech:
                        self.session.feed(SpeechStopped(turn), UserTurnCommitted(turn))
                    await self.end_turn(turn)
                    turn, self.owed = "", True
                    self.change()

    def begin_turn(self, turn: str) -> None:
        if self.can.reports_speech:
            self.session.feed(SpeechStarted(turn))
        if self.can.interrupts_itself and self.running is not None:
            self.interrupted = True
            self.running.cancel()

    async def end_turn(self, turn: str) -> None:
        words = await self.stage.brain.transcribe(b"")
        self.history.append(Heard("user", words))
        if words is not None:
            self.session.feed(UserTranscript(words, is_final=True, item_id=turn))

    # ── answering ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def speak(self) -> None:
        while True:
            if self.given:
                await self.respond([Say(self.given.popleft())])
            elif self.owed and not self.open_calls:
                self.owed = False
                await self.respond(await self.stage.brain.answer(self.history, instructions="", tools={}))
            else:
                await self.changed.wait()

    async def respond(self, parts: Sequence[Say | CallTool]) -> None:
        response_id = self.session.new_id("response")
        self.session.feed(ResponseStarted(response_id))
        trouble = self.stage.troubles.popleft() if self.stage.troubles else None
        if trouble is not None and await self.suffer(trouble):
            return
        with anyio.CancelScope() as self.running:
            for part in parts:
                if isinstance(part, Say):
                    await self.say(part.text, response_id)
                else:
                    call_id = self.session.new_id("call")
                    self.open_calls.add(call_id)
                    arguments = json.dumps(part.arguments)
                    self.session.feed(ToolCallRequested(call_id, part.name, arguments, response_id))
        cancelled = self.running.cancelled_caught
        self.running = None
        if self.interrupted:
            self.interrupted = False
            self.session.feed(Interrupted(response_id))
        self.session.feed(ResponseFinished(response_id, "cancelled" if cancelled else "completed"))

    async def say(self, text: str, response_id: str) -> None:
        item_id = self.session.new_id("item")
        audio = await self.stage.brain.speak(text)
        size = self.session.output_format.frame_bytes(CHUNK_MS)
        for begin in range(0, len(audio), size):
            self.session.feed(AudioReceived(audio[begin : begin + size], item_id, response_id))
            if self.stage.scene.real_time:
                await anyio.sleep(CHUNK_MS / 1000)
        self.session.feed(AgentTranscript(text, is_final=True, item_id=item_id, response_id=response_id))
        self.history.append(Heard("assistant", text))

    async def suffer(self, trouble: Trouble) -> bool:
        """Whether the session is over."""
        broken = ConnectionFailed("the connection broke", vendor="fake")
        match trouble:
            case Trouble.ERROR:
                self.session.feed(ErrorReported(ProviderError("something failed", vendor="fake")))
            case Trouble.STALL:
                await anyio.wait_all_tasks_blocked()
            case Trouble.ENDING:
                self.session.feed(SessionEnding(self.stage.provider.clock.now() + 60))
            case Trouble.EXPIRY:
                self.session.feed(ErrorReported(broken, fatal=True), SessionEnded("session_expired", broken))
            case _:
                self.session.die(broken)
        return trouble in {Trouble.EXPIRY, Trouble.DROP, Trouble.CLOSE}
