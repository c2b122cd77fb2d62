"""Twilio's part of a simulated call: asks for documents, obeys them, opens media streams, tells how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from types import MappingProxyType
from typing import Final, Literal

import anyio

from trunkline.clock import Clock
from trunkline.errors import DeadlineExceeded, HandshakeRejected, InvalidConfig, ProtocolError, TransportError
from trunkline.testing.call_audio import CallAudio
from trunkline.testing.twilio.findings import Findings
from trunkline.testing.twilio.line import TwilioLine
from trunkline.testing.twilio.verbs import (
    Connect,
    Dial,
    DocumentRefused,
    Hangup,
    NotSimulated,
    Pause,
    PlayDigits,
    Redirect,
    Reject,
    Speak,
    Verb,
    read_twiml,
)
from trunkline.testing.twilio.webhooks import CallRecord, Signing, Webhooks, sign
from trunkline.transport import connect_websocket

SECONDS_PER_LETTER: Final = 0.06  # of a sentence of Twilio's own voice
MOST_DOCUMENTS: Final = 100  # of one call; a document that redirects to itself would never end


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSetup:
    """How media streams are opened and driven."""

    auth_token: str
    signing: Signing
    signed_as: Literal["wss", "https"]
    mark_delay_ms: float
    tls: SSLContext | None
    connect_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Where the next document of a call comes from: it is given, or asked for; and how an outbound call rings before."""

    twiml: str = ""
    url: str = ""
    method: str = "POST"
    copies: int = 1
    timeout: float = 60.0
    digits: str = ""
    detection: Literal["", "sync", "async"] = ""
    detection_url: str = ""


Pickup = Literal["answer", "busy", "no-answer", "failed", "canceled"]
"""What becomes of a call that rings."""


class TwilioSwitch:
    """One call, from the webhook to the last status callback; `run` and `ring` are the call.

    Args:
        record: Who calls whom.
        webhooks: Makes the requests.
        audio: The person's mouth and ear.
        findings: Where everything noteworthy is kept.
        setup: How media streams are opened.
        clock: The person's clock.
    """

    def __init__(
        self,
        *,
        record: CallRecord,
        webhooks: Webhooks,
        audio: CallAudio,
        findings: Findings,
        setup: StreamSetup,
        clock: Clock,
    ) -> None:
        self.line: TwilioLine | None = None
        self.status = "ringing" if record.direction == "inbound" else "queued"
        self.ended = False
        self.settled = anyio.Event()
        self.began = self.over = clock.wall()
        self._record = record
        self._webhooks = webhooks
        self._audio = audio
        self._findings = findings
        self._timeline = findings.timeline
        self._setup = setup
        self._clock = clock
        self._conversation = anyio.CancelScope()
        self._document = anyio.CancelScope()
        self._next: Instructions | None = None
        self._over = False
        self._picked_up: anyio.Event = anyio.Event()
        self._pickup: Pickup = "no-answer"
        self._answered_by = "human"
        self._answered_at: float | None = None
        self._status = "completed"

    async def run(self, first: Instructions) -> None:
        """A whole call that comes in; `settled` is set once a stream runs, the caller has to wait, or the call is over."""
        try:
            with self._conversation:
                await self._webhooks.progress("initiated", "initiated")
                await self._webhooks.progress("ringing", "ringing")
                await self._follow(first)
            await self._end()
        finally:
            self._finish()

    async def ring(self, first: Instructions) -> None:
        """A whole call that goes out: it rings until somebody decides, then it is as one that came in."""
        try:
            with self._conversation:
                await self._webhooks.progress("initiated", "initiated")
                self.status = "ringing"
                self._timeline.note("ringing")
                await self._webhooks.progress("ringing", "ringing")
                with self._clock.move_on_after(first.timeout):
                    await self._picked_up.wait()
                if self._pickup == "answer":
                    await self._answer()
                    await self._detect(first)
                    if first.digits:
                        await self._play_digits(first.digits)
                    await self._follow(first)
                else:
                    self._status = self._pickup
            await self._end()
        finally:
            self._finish()

    def pick_up(self, how: Pickup, *, answered_by: str = "human") -> None:
        """Decide what becomes of a call that rings; the first decision counts."""
        if not self._picked_up.is_set():
            self._pickup, self._answered_by = how, answered_by
            self._picked_up.set()

    @property
    def is_answered(self) -> bool:
        """Whether somebody took the call."""
        return self._answered_at is not None

    @property
    def duration_s(self) -> float:
        """Seconds since it was answered."""
        return 0.0 if self._answered_at is None else self._clock.now() - self._answered_at

    async def hang_up(self) -> None:
        """The person puts the receiver down, whatever is going on."""
        self._over = True
        if self.line is None:
            self._conversation.cancel()
        else:
            await self._stop_line(self.line, "caller")

    async def drop(self, line: TwilioLine) -> None:
        """The media socket of this line vanishes, and the call with it."""
        self._over = True
        await line.drop()

    # ── commands over REST ───────────────────────────────────────────────────────────────────────────────────────────

    async def complete(self) -> None:
        """End the call."""
        if not self.is_answered and self._record.direction != "inbound":
            self.pick_up("canceled")
            return
        self._over = True
        await self._leave_document()

    async def redirect(self, following: Instructions) -> None:
        """Leave whatever the call is at, and obey another document."""
        self._next = following
        await self._leave_document()

    async def _leave_document(self) -> None:
        if self.line is None:
            self._document.cancel()
        else:
            await self._stop_line(self.line, "carrier")

    async def _stop_line(self, line: TwilioLine, by: Literal["caller", "carrier"]) -> None:
        await line.stop(account_sid=self._record.account_sid, call_sid=self._record.call_sid, by=by)

    # ── the course of the call ───────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self, first: Instructions) -> None:
        verbs = await self._read(first)
        for _ in range(MOST_DOCUMENTS):
            following: list[Verb] | None = None
            if verbs is not None and self._next is None and not self._over:
                with anyio.CancelScope() as self._document:
                    following = await self._obey(verbs)
            if self._next is not None and not self._over:
                instructions, self._next = self._next, None
                following = await self._read(instructions)
            if following is None:
                break
            verbs = following

    async def _detect(self, first: Instructions) -> None:
        if first.detection == "async" and first.detection_url:
            fields = {
                "CallSid": self._record.call_sid,
                "AccountSid": self._record.account_sid,
                "AnsweredBy": self._answered_by,
                "MachineDetectionDuration": "2400",
            }
            await self._webhooks.tell(first.detection_url, fields)

    async def _end(self) -> None:
        self.status = self._status
        await self._webhooks.progress("completed", self._status, duration_s=self.duration_s)

    def _finish(self) -> None:
        self.ended = True
        self.status = self._status
        self.over = self._clock.wall()
        self.settled.set()
        self._timeline.note(f"completed {self._status}")
        self._timeline.close()

    async def _read(self, instructions: Instructions) -> list[Verb] | None:
        """The verbs of a document that was given, or is asked for."""
        if instructions.url:
            more = {"AnsweredBy": self._answered_by} if instructions.detection == "sync" else {}
            return await self._ask(instructions.url, instructions.method, copies=instructions.copies, more=more)
        try:
            return read_twiml(instructions.twiml.encode(), "text/xml", base_url="https://api.twilio.com/")
        except DocumentRefused as refused:
            self._findings.fail(refused.code, refused.reason)
            return None

    # ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(
        self, url: str, method: str, *, copies: int = 1, more: Mapping[str, str] = MappingProxyType({})
    ) -> list[Verb] | None:
        """Ask for a document; None if there is none to obey."""
        status = "ringing" if self._answered_at is None else "in-progress"
        answer = await self._webhooks.ask(url, method, self._record.voice(status) | dict(more), copies=copies)
        if answer is None:
            self._unanswered("unreachable")
            return None
        self._timeline.note(f"webhook {answer.status}")
        if not 200 <= answer.status < 300:
            self._findings.fail(11200, f"{method} was answered with HTTP status {answer.status}")
            self._unanswered(str(answer.status))
            return None
        try:
            return read_twiml(answer.body, answer.headers.get("Content-Type", ""), base_url=url)
        except DocumentRefused as refused:
            self._findings.fail(refused.code, refused.reason)
            self._unanswered(refused.reason)
            return None

    def _unanswered(self, reason: str) -> None:
        if self._answered_at is None:
            self._findings.refused = reason
            self._status = "failed"

    async def _obey(self, verbs: list[Verb]) -> list[Verb] | None:
        """Obey one document; returns the next, None at the end of the call."""
        if verbs and isinstance(verbs[0], Reject) and self._answered_at is None:
            self._reject(verbs[0].reason)
            return None
        await self._answer()
        for verb in verbs:
            match verb:
                case Connect():
                    await self._stream(verb)
                    if self._over or self._next is not None:
                        return None
                    if verb.action:
                        return await self._ask(verb.action, verb.method)
                case Redirect(url, method):
                    return await self._ask(url, method)
                case Dial():
                    self._dial(verb)
                    if verb.action:
                        outcome = {"DialCallStatus": "completed", "DialCallDuration": "0", "DialBridged": "true"}
                        return await self._ask(verb.action, verb.method, more=outcome)
                case Pause(seconds):
                    await self._wait(f"pause {seconds:g}", seconds)
                case PlayDigits(digits):
                    await self._play_digits(digits)
                case Speak(text):
                    self._findings.spoken.append(text)
                    await self._wait(f"say {text}", len(text) * SECONDS_PER_LETTER)
                case NotSimulated(name):
                    self._timeline.note(f"skipped {name}")
                case Hangup() | Reject():
                    return None
        return None

    def _reject(self, reason: str) -> None:
        self._findings.refused = reason
        self._status = "busy" if reason == "busy" else "no-answer"
        self._timeline.note(f"rejected {reason}")

    async def _answer(self) -> None:
        if self._answered_at is None:
            self._answered_at = self._clock.now()
            self.status = "in-progress"
            self._timeline.note("answered")
            await self._webhooks.progress("answered", "in-progress")

    async def _wait(self, event: str, seconds: float) -> None:
        self._timeline.note(event)
        self.settled.set()
        await self._clock.sleep_until(self._clock.now() + seconds)

    async def _play_digits(self, digits: str) -> None:
        self._findings.played_digits.append(digits)
        await self._wait(f"play {digits}", digits.count("w") * 0.5 + digits.count("W"))

    def _dial(self, verb: Dial) -> None:
        self._findings.dialled += verb.targets
        for target in verb.targets:
            self._timeline.note(f"dial {target}")

    # ── media streams ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _stream(self, verb: Connect) -> None:
        """Open a media stream and stay in it until somebody ends it."""
        if verb.refusal is not None:
            self._findings.refuse_stream(*verb.refusal)
            return
        setup = self._setup
        signed = verb.url if setup.signed_as == "wss" else f"http{verb.url.removeprefix('ws')}"
        headers = {"User-Agent": "Twilio.TmeWs/1.0"} | sign(setup.auth_token, signed, signing=setup.signing)
        try:
            async with connect_websocket(
                verb.url,
                headers=headers.items(),
                tls=setup.tls,
                connect_timeout=setup.connect_timeout,
                ping_interval=None,
                clock=self._clock,
            ) as socket:
                line = TwilioLine(
                    socket,
                    audio=self._audio,
                    timeline=self._timeline,
                    warn=self._findings.warn,
                    mark_delay_ms=setup.mark_delay_ms,
                    clock=self._clock,
                )
                await self._report(verb, line, "stream-started")
                await self._stay(verb, line)
            await self._report(verb, line, "stream-stopped")
        except HandshakeRejected as error:
            self._findings.refuse_stream(31920, str(error), refused=str(error.status))
        except DeadlineExceeded as error:
            self._findings.refuse_stream(31901, str(error))
        except TransportError as error:
            self._findings.refuse_stream(31902, str(error))
        except (ProtocolError, InvalidConfig) as error:
            self._findings.refuse_stream(31924, str(error))

    async def _stay(self, verb: Connect, line: TwilioLine) -> None:
        findings = self._findings
        findings.start = {
            "streamSid": line.stream_sid,
            "accountSid": self._record.account_sid,
            "callSid": self._record.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": verb.parameters,
        }
        self.line = line
        try:
            findings.ended_by = await line.run(findings.start, started=self.settled.set)
            findings.close_code = line.close_code
        finally:
            self.line = None

    async def _report(self, verb: Connect, line: TwilioLine, event: str) -> None:
        if verb.status_callback:
            fields = self._record.stream(event, stream_sid=line.stream_sid, name=verb.name)
            await self._webhooks.tell(verb.status_callback, fields)
