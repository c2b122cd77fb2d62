"""Twilio's part of a simulated call: asks for documents, obeys them, opens media streams, tells how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from types import MappingProxyType
from typing import Any, Final, Literal

import anyio

from trunkline.clock import Clock
from trunkline.errors import DeadlineExceeded, HandshakeRejected, InvalidConfig, ProtocolError, TransportError
from trunkline.testing.call_audio import CallAudio
from trunkline.testing.timeline import Timeline
from trunkline.testing.twilio.line import End, TwilioLine
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
    Verb,
    read_twiml,
)
from trunkline.testing.twilio.webhooks import CallRecord, Signing, Webhooks, sign
from trunkline.transport import connect_websocket

MOST_DOCUMENTS: Final = 100  # of one call; a document that redirects to itself would never end


@dataclass(slots=True)
class Findings:
    """What came to light in a call; `TwilioCaller` tells what each means."""

    timeline: Timeline
    refused: str | None = None
    ended_by: End | None = None
    close_code: int | None = None
    start: dict[str, Any] = field(default_factory=dict)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    played_digits: list[str] = field(default_factory=list)

    def warn(self, code: int, reason: str) -> None:
        """Twilio ignored a message of the gateway."""
        self.warnings.append((code, reason))
        self.timeline.note(f"warning {code} {reason}")

    def fail(self, code: int, reason: str) -> None:
        """Twilio could not do what it was told."""
        self.errors.append((code, reason))
        self.timeline.note(f"error {code} {reason}")

    def refuse_stream(self, code: int, reason: str, *, refused: str = "") -> None:
        """A media stream was not opened."""
        self.refused = refused or reason
        self.timeline.note(f"stream refused {self.refused}")
        self.fail(code, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSetup:
    """How media streams are opened and driven."""

    auth_token: str
    signing: Signing
    signed_as: Literal["wss", "https"]
    mark_delay_ms: float
    tls: SSLContext | None
    connect_timeout: float


class TwilioSwitch:
    """One call, from the webhook to the last status callback; `run` is the call.

    Args:
        record: Who calls whom.
        webhooks: Makes the requests.
        audio: The caller's mouth and ear.
        findings: Where everything noteworthy is kept.
        setup: How media streams are opened.
        clock: The caller's clock.
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
        self.ended = False
        self.settled = anyio.Event()
        self._record = record
        self._webhooks = webhooks
        self._audio = audio
        self._findings = findings
        self._timeline = findings.timeline
        self._setup = setup
        self._clock = clock
        self._conversation = anyio.CancelScope()
        self._caller_left = False
        self._answered_at: float | None = None
        self._status = "completed"

    async def run(self, webhook_url: str, method: str, *, copies: int) -> None:
        """The whole call; `settled` is set once a stream runs, the caller has to wait, or the call is over."""
        try:
            with self._conversation:
                await self._webhooks.progress("initiated", "initiated")
                await self._webhooks.progress("ringing", "ringing")
                verbs = await self._ask(webhook_url, method, copies=copies)
                for _ in range(MOST_DOCUMENTS):
                    if verbs is None or self._caller_left:
                        break
                    verbs = await self._obey(verbs)
            duration = 0.0 if self._answered_at is None else self._clock.now() - self._answered_at
            await self._webhooks.progress("completed", self._status, duration_s=duration)
        finally:
            self.ended = True
            self.settled.set()
            self._timeline.note(f"completed {self._status}")
            self._timeline.close()

    async def hang_up(self) -> None:
        """The caller puts the receiver down, whatever is going on."""
        self._caller_left = True
        if self.line is None:
            self._conversation.cancel()
        else:
            await self.line.hang_up(account_sid=self._record.account_sid, call_sid=self._record.call_sid)

    async def drop(self, line: TwilioLine) -> None:
        """The media socket of this line vanishes, and the call with it."""
        self._caller_left = True
        await line.drop()

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
                    if self._caller_left:
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
                    self._findings.played_digits.append(digits)
                    await self._wait(f"play {digits}", digits.count("w") * 0.5 + digits.count("W"))
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
            self._timeline.note("answered")
            await self._webhooks.progress("answered", "in-progress")

    async def _wait(self, event: str, seconds: float) -> None:
        self._timeline.note(event)
        self.settled.set()
        await self._clock.sleep_until(self._clock.now() + seconds)

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
