"""One session of the simulated service: what the client says, what the model hears, answers and remembers.

Reading and writing are tasks of the session's own group; whatever takes time (understanding, answering, the end of the connection) runs in
further ones. The reader never blocks.
"""

import logging
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from trunkline.audio import AudioFormat
from trunkline.audio.formats import SAMPLE_RATES
from trunkline.errors import ProtocolError, TransportError
from trunkline.testing.brain import Brain, CallTool, Say, sentence_to_say
from trunkline.testing.delivery import MOUTH
from trunkline.testing.gemini.codec import Refusal, decoded, duration, invalid_argument
from trunkline.testing.gemini.conversation import HANDLE_LIFE, Spent, Terms, lines_of, result_of, text_of
from trunkline.testing.gemini.conversation import Line as Said
from trunkline.testing.gemini.setup import check_message, check_setup, schema_of
from trunkline.testing.hearing import EAR, Hearing, SpeechBegan, SpeechEnded
from trunkline.testing.line import Line

log = logging.getLogger("trunkline.testing")

ABORTED = Refusal(1008, "The operation was aborted.")
_DETECTION = {"threshold": 0.5, "prefix_padding_ms": 20, "silence_duration_ms": 500, "idle_timeout_ms": None}
_EXPLICIT = "Explicit activity control is not supported when automatic activity detection is enabled."
_DEPRECATED = "realtime_input.media_chunks is deprecated. Use audio, video, or text instead."
_RATE = re.compile(r"audio/pcm(?:;\s*rate=(\d+))?")


class Session:
    """A session as the server has it; tests may read `setup`, `instructions` and `lines` at any time."""

    def __init__(self, line: Line, brain: Brain, terms: Terms) -> None:
        self.is_open = True
        self.setup: Mapping[str, Any] = {}
        self.instructions = ""
        self.lines: list[Said] = []
        self._line = line
        self._brain = brain
        self._terms = terms
        self._tasks = anyio.create_task_group()
        self._tools: dict[str, Mapping[str, Any]] = {}
        self._hearing = Hearing(brain.detector(), EAR, _DETECTION)
        self._seeding = False
        self._is_active = False
        self._generation: anyio.CancelScope | None = None
        self._answer_due = False
        self._spent = Spent()
        self._open_calls: dict[str, tuple[str, bool]] = {}  # the name, and whether the model waits
        self._handlers: Mapping[str, Callable[[Any], None]] = {
            "clientContent": self._take_content,
            "realtimeInput": self._take_input,
            "toolResponse": self._take_results,
            "contextUpdate": self._update_context,
        }

    async def run(self) -> None:
        """Serve the client until it leaves, is sent away, or its time is up."""
        try:
            async with self._tasks:
                self._tasks.start_soon(self._line.write)
                await self._read()
        except* (TransportError, ProtocolError):
            pass  # the client is gone, or was sent away, which is how a session ends
        finally:
            self.is_open = False

    def end_in(self, seconds: float) -> None:
        """The connection ends then, as a `goAway` has told."""
        self._tasks.start_soon(self._end_at, self._terms.clock.now() + seconds)

    async def _read(self) -> None:
        is_refused = False
        while True:
            try:
                event = await self._line.receive()
                key = check_message(event)
                if is_refused:
                    continue
                if self.setup:
                    self._handlers[key](event[key]) if key in self._handlers else _refuse()
                else:
                    self._begin(event["setup"] if key == "setup" else _refuse())
            except Refusal as refusal:
                is_refused = True
                self._line.hang_up(refusal.code, refusal.reason)

    async def _end_at(self, moment: float) -> None:
        await self._terms.clock.sleep_until(moment)
        self._line.hang_up(ABORTED.code, ABORTED.reason)

    async def _warn(self) -> None:
        terms = self._terms
        began = terms.clock.now()
        await terms.clock.sleep_until(began + terms.connection_limit - terms.go_away_lead)
        self._line.put({"goAway": {"timeLeft": duration(terms.go_away_lead)}})
        await self._end_at(began + terms.connection_limit)

    def _emit(self, **content: Any) -> None:
        self._line.put({"serverContent": content})

    # ── the setup ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, setup: Mapping[str, Any]) -> None:
        check_setup(setup, self._terms.version)
        handle = setup.get("sessionResumption", {}).get("handle")
        if handle is not None:
            lines, until = self._terms.memory.kept.get(handle, ([], 0.0))
            if self._terms.clock.now() >= until:
                raise invalid_argument()
            self.lines = list(lines)
        self.setup = setup
        self.instructions = text_of(setup.get("systemInstruction"))
        self._use_tools(setup.get("tools", ()))
        self._seeding = setup.get("historyConfig", {}).get("initialHistoryInClientContent", False)
        detection = self._input("automaticActivityDetection", {})
        self._by_hand = detection.get("disabled", False)
        self._detection = {
            **_DETECTION,
            "prefix_padding_ms": detection.get("prefixPaddingMs", _DETECTION["prefix_padding_ms"]),
            "silence_duration_ms": detection.get("silenceDurationMs", _DETECTION["silence_duration_ms"]),
        }
        self._hearing.configure(EAR, None if self._by_hand else self._detection)
        self._line.put({"setupComplete": {}})
        self._tasks.start_soon(self._warn)

    def _input(self, name: str, default: Any = None) -> Any:
        return self.setup.get("realtimeInputConfig", {}).get(name, default)

    def _use_tools(self, tools: Sequence[Mapping[str, Any]]) -> None:
        self._tools = {
            function["name"]: function for tool in tools for function in tool.get("functionDeclarations", ())
        }

    def _update_context(self, update: Mapping[str, Any]) -> None:
        if "systemInstruction" in update:
            self.instructions = text_of(update["systemInstruction"])
        if "tools" in update:
            self._use_tools(update["tools"].get("tools", ()))

    # ── what the client says ─────────────────────────────────────────────────────────────────────────────────────────

    def _take_content(self, content: Mapping[str, Any]) -> None:
        if self._waits:
            raise Refusal(1008, "Operation is not implemented, or supported, or enabled.")
        lines = lines_of(content.get("turns", ()))
        is_complete = content.get("turnComplete", False)
        if self._seeding:
            self.lines += lines
            self._seeding = not is_complete
            return
        self._interrupt()
        self.lines += lines
        if is_complete:
            self._answer()

    def _take_input(self, given: Mapping[str, Any]) -> None:
        match given:
            case {"audio": blob}:
                self._hear(blob)
            case {"text": str() as text}:
                self._interrupt()
                self.lines.append(Said("user", text))
                self._answer()
            case {"activityStart": _} | {"activityEnd": _} if not self._by_hand:
                raise Refusal(1007, _EXPLICIT)
            case {"activityStart": _}:
                self._is_active = True
                self._hearing.clear()
                self._user_began()
            case {"activityEnd": _} if self._is_active:
                self._is_active = False
                self._take_turn(self._hearing.take_all())
            case {"audioStreamEnd": True} if not self._by_hand:
                if self._hearing.hears_speech:
                    self._take_turn(self._hearing.take_all())
            case {"mediaChunks": _}:
                raise Refusal(1007, _DEPRECATED)
            case {"video": _} | {"activityEnd": _} | {"audioStreamEnd": _}:
                pass
            case _:
                raise invalid_argument()

    def _hear(self, blob: Mapping[str, Any]) -> None:
        kind = _RATE.fullmatch(str(blob.get("mimeType", "")))
        rate = int(kind[1] or EAR.sample_rate) if kind else 0
        if rate not in SAMPLE_RATES:
            raise invalid_argument()
        audio = AudioFormat("linear16", rate)
        if audio != self._hearing.format:
            self._hearing.configure(audio, None if self._by_hand else self._detection)
        for moment in self._hearing.append(decoded(blob.get("data"))):
            match moment:
                case SpeechBegan():
                    self._user_began()
                case SpeechEnded(audio=turn):
                    self._take_turn(turn)
                case _:
                    pass

    def _user_began(self) -> None:
        if self._input("activityHandling") != "NO_INTERRUPTION":
            self._interrupt()

    def _take_turn(self, audio: bytes) -> None:
        line = Said("user", None, understood=anyio.Event())
        self.lines.append(line)
        self._tasks.start_soon(self._think, self._understand, line, audio)
        self._answer()

    async def _understand(self, line: Said, audio: bytes) -> None:
        line.text = await self._brain.transcribe(audio)
        if "inputAudioTranscription" in self.setup:
            for piece in re.findall(r"\s*\S+", line.text or ""):
                self._emit(inputTranscription={"text": piece})
        line.understood.set()

    def _take_results(self, response: Mapping[str, Any]) -> None:
        waited = self._waits
        for result in response.get("functionResponses", ()):
            call_id = result.get("id", "")
            if call_id not in self._open_calls:
                continue  # what the service does with an unknown id is not known
            name, is_waited_for = self._open_calls[call_id]
            self.lines.append(Said("tool", result_of(result.get("response")), name))
            if is_waited_for or not result.get("willContinue", False):
                del self._open_calls[call_id]
            scheduling = result.get("scheduling", "WHEN_IDLE")
            if is_waited_for or scheduling == "SILENT":
                continue
            if scheduling == "INTERRUPT":
                self._interrupt()
            self._answer()
        if waited and not self._waits:
            self._generate_soon()

    # ── the model's turn ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _waits(self) -> bool:
        """Whether the model waits for a tool."""
        return any(is_waited_for for _, is_waited_for in self._open_calls.values())

    def _answer(self) -> None:
        """Answer to what was said last, as soon as the model is silent."""
        if self._generation is not None or self._waits:
            self._answer_due = True
        else:
            self._spent = Spent()
            self._generate_soon()

    def _generate_soon(self) -> None:
        self._generation = anyio.CancelScope()
        self._tasks.start_soon(self._think, self._generate, self._generation)

    def _interrupt(self) -> None:
        """The client cuts the model's turn, if there is one."""
        waited_for = [call_id for call_id, (_, is_waited_for) in self._open_calls.items() if is_waited_for]
        if self._generation is None and not waited_for:
            return
        if self._generation is not None:
            self._generation.cancel()
            self._emit(interrupted=True)
        if waited_for:
            self._line.put({"toolCallCancellation": {"ids": waited_for}})
            self._open_calls = {name: call for name, call in self._open_calls.items() if not call[1]}
        self._answer_due = False
        self._complete_turn()

    def _complete_turn(self, reason: str | None = None) -> None:
        self._generation = None
        content: dict[str, Any] = {"turnComplete": True}
        if reason is not None:
            content["turnCompleteReason"] = reason
        self._line.put({"serverContent": content, "usageMetadata": self._spent.to_json()})
        self._tell_handle()
        if self._answer_due:
            self._answer_due = False
            self._answer()

    def _tell_handle(self) -> None:
        if "sessionResumption" not in self.setup:
            return
        if self._open_calls:
            self._line.put({"sessionResumptionUpdate": {}})
            return
        handle = secrets.token_urlsafe(24)
        self._terms.memory.kept[handle] = (list(self.lines), self._terms.clock.now() + HANDLE_LIFE)
        self._line.put({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    async def _generate(self, scope: anyio.CancelScope) -> None:
        with scope:
            known = list(self.lines)
            for line in known:
                await line.understood.wait()
            asked = known[-1].text or "" if known and known[-1].role == "user" else ""
            instructions = asked if sentence_to_say(asked) is not None else self.instructions
            schemas = {name: schema_of(function) for name, function in self._tools.items()}
            answer = await self._brain.answer(
                [line.heard() for line in known], instructions=instructions, tools=schemas
            )
            await anyio.lowlevel.checkpoint_if_cancelled()
            self._spent.read(self.instructions, known)
            self._emit(
                **({} if self._bundles else {"modelTurn": {"parts": [{"text": "**Thinking**", "thought": True}]}})
            )
            for step in answer:
                if isinstance(step, Say):
                    await self._say(step.text)
            calls = [step for step in answer if isinstance(step, CallTool)]
            if any(call.name not in self._tools for call in calls):
                self._complete_turn("MALFORMED_FUNCTION_CALL")
                return
            if calls:
                self._call(calls)
            if self._waits:
                self._generation = None  # the turn goes on with the results
                return
            self._emit(generationComplete=True)
            self._complete_turn()

    def _call(self, calls: Sequence[CallTool]) -> None:
        told = []
        for call in calls:
            call_id = f"fc_{secrets.randbelow(10**19):019}"
            default = "NON_BLOCKING" if "gemini-3.8" in self.setup["model"] else "BLOCKING"
            behavior = self._tools[call.name].get("behavior", default)
            self._open_calls[call_id] = (call.name, behavior == "BLOCKING")
            told.append({"id": call_id, "name": call.name, "args": dict(call.arguments)})
        self._line.put({"toolCall": {"functionCalls": told}})
        if self._waits:
            self._tell_handle()

    @property
    def _bundles(self) -> bool:
        """Whether words come with the audio, as with 3.x; before, they come by themselves."""
        return "gemini-2" not in self.setup["model"]

    async def _say(self, text: str) -> None:
        line = Said("assistant", "")
        self.lines.append(line)
        words = re.findall(r"\s*\S+", text)
        if self.setup.get("generationConfig", {}).get("responseModalities") == ["TEXT"]:
            for word in words:
                self._emit(modelTurn={"parts": [{"text": word}]})
            line.text = text
            self._spent.letters += len(text)
            return
        audio = await self._brain.speak(text)
        await anyio.lowlevel.checkpoint_if_cancelled()

        def give(said: Sequence[str], piece: bytes) -> bool:
            line.text = f"{line.text or ''}{''.join(said)}"
            self._give("".join(said), piece)
            return True

        await self._terms.delivery.hand_out(words, audio, MOUTH, give)

    def _give(self, words: str, audio: bytes) -> None:
        told: dict[str, Any] = {}
        if words and "outputAudioTranscription" in self.setup:
            told["outputTranscription"] = {"text": words}
            if not self._bundles:
                self._emit(**told)
                told = {}
        if audio:
            self._spent.audio_ms += MOUTH.duration_ms(len(audio))
            data = b64encode(audio).decode()
            told = {
                "modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}]},
                **told,
            }
        if told:
            self._emit(**told)

    async def _think(self, work: Callable[..., Any], *args: object) -> None:
        """Let the brain work; should it fail, the session closes in order, behind what was already said."""
        try:
            await work(*args)
        except Exception:  # whatever a brain raises
            log.exception("the brain behind a simulated session failed")
            self._line.hang_up(1011, "Internal error encountered.")


def _refuse() -> Any:
    raise invalid_argument()
