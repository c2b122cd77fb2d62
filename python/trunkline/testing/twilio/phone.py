"""A person with a telephone, and the carrier's view of the call that they are in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trunkline.clock import Clock
from trunkline.errors import CallError
from trunkline.testing.call_audio import FRAME_MS, CallAudio
from trunkline.testing.timeline import Timeline
from trunkline.testing.twilio.findings import Findings
from trunkline.testing.twilio.line import End, TwilioLine
from trunkline.testing.twilio.switch import StreamSetup, TwilioSwitch
from trunkline.testing.twilio.webhooks import CallbackSetup, CallRecord, Webhooks

_KEYS: Final = frozenset("0123456789*#ABCD")


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """One simulated call with all its parts."""

    record: CallRecord
    timeline: Timeline
    audio: CallAudio
    findings: Findings
    webhooks: Webhooks
    switch: TwilioSwitch


def make_phone_call(record: CallRecord, callbacks: CallbackSetup, streams: StreamSetup, *, clock: Clock) -> PhoneCall:
    """The parts of a call that begins now."""
    timeline = Timeline(clock=clock, call_id=record.call_sid)
    audio = CallAudio(timeline=timeline)
    findings = Findings(timeline)
    webhooks = Webhooks(record, callbacks, fail=findings.fail, clock=clock)
    switch = TwilioSwitch(record=record, webhooks=webhooks, audio=audio, findings=findings, setup=streams, clock=clock)
    return PhoneCall(record, timeline, audio, findings, webhooks, switch)


class TwilioPhone:
    """What a person does with a telephone, and what can be seen of the call; `TwilioCaller` and `TwilioCallee` are such."""

    _call: PhoneCall

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def call_sid(self) -> str:
        """The call's id."""
        return self._call.record.call_sid

    @property
    def start(self) -> Mapping[str, Any]:
        """What the last stream's start message told: ids, format, and in `customParameters` those of the TwiML; empty before."""
        return self._call.findings.start

    @property
    def timeline(self) -> list[tuple[float, str]]:
        """What happened, with the milliseconds since dialling; see the class."""
        return self._call.timeline.entries

    @property
    def heard(self) -> bytes:
        """What the caller heard, µ-law: one frame each 20 ms since `media_began_ms`, silence where nothing was queued."""
        return bytes(self._call.audio.heard)

    @property
    def sent(self) -> bytes:
        """What the caller sent, on the time base of `heard`."""
        return bytes(self._call.audio.sent)

    @property
    def media_began_ms(self) -> float | None:
        """When the first media stream began, on the time base of `timeline`; None if none did."""
        return self._call.audio.began_ms

    @property
    def refused(self) -> str | None:
        """Why there was no conversation: "busy" or "rejected", the HTTP status that refused a webhook or an upgrade, or a sentence."""
        return self._call.findings.refused

    @property
    def warnings(self) -> list[tuple[int, str]]:
        """Messages of the gateway that Twilio would ignore, by warning code (31950 a binary frame, 31951 anything else) and reason."""
        return self._call.findings.warnings

    @property
    def errors(self) -> list[tuple[int, str]]:
        """What Twilio could not do, by its error code and reason: 11200 HTTP, 12100 document, 319xx media stream."""
        return self._call.findings.errors

    @property
    def dialled(self) -> list[str]:
        """Whom the gateway had the caller connected with."""
        return self._call.findings.dialled

    @property
    def played_digits(self) -> list[str]:
        """The keys that the gateway had played into the call, one entry for each Play."""
        return self._call.findings.played_digits

    @property
    def spoken(self) -> list[str]:
        """The sentences that the gateway had spoken by Twilio's own voice."""
        return self._call.findings.spoken

    @property
    def ended(self) -> bool:
        """Whether the call is over and everybody was told."""
        return self._call.switch.ended

    @property
    def ended_by(self) -> End | None:
        """Who ended the last stream: "caller", "server", "dropped", or "carrier" by a command over REST; None while there was none."""
        return self._call.findings.ended_by

    @property
    def close_code(self) -> int | None:
        """The code with which the gateway closed the last stream; None if it did not."""
        return self._call.findings.close_code

    # ── the call as it goes on ───────────────────────────────────────────────────────────────────────────────────────

    async def wait_for(self, event: str, timeout: float = 30.0, *, count: int = 1) -> float:
        """Wait for an event of the timeline, by all its words or the first of them, to have happened `count` times, now or before.

        Returns:
            When it did, in milliseconds since dialling.

        Raises:
            DeadlineExceeded: It did not in `timeout` seconds.
            CallError: The call ended without it.
        """
        return await self._call.timeline.wait_for(event, timeout=timeout, count=count)

    async def hang_up(self, timeout: float = 30.0) -> None:
        """Hang up, and wait until the call is over and everybody was told; nothing happens if it is over.

        Raises:
            DeadlineExceeded: The gateway did not take the news in time.
        """
        if not self.ended:
            await self._call.switch.hang_up()
        await self.wait_ended(timeout)

    async def drop(self, timeout: float = 30.0) -> None:
        """Let the media socket vanish, without `stop` and without a close frame, and the call with it; raises as `press` and `hang_up`."""
        await self._call.switch.drop(self._line())
        await self.wait_ended(timeout)

    async def wait_ended(self, timeout: float = 30.0) -> None:
        """Wait until the call is over, whoever ends it.

        Raises:
            DeadlineExceeded: It is not over after `timeout` seconds.
        """
        await self._call.timeline.until(lambda: self.ended, what="the end of the call", timeout=timeout)

    # ── what the person does ─────────────────────────────────────────────────────────────────────────────────────────

    def say(self, mulaw: bytes) -> None:
        """Speak, after what is still to be said; returns at once."""
        self._call.audio.say(mulaw)

    async def said(self, timeout: float = 60.0) -> None:
        """Wait until everything that the caller has to say was sent; raises as `wait_for`."""
        await self._call.timeline.until(
            lambda: self._call.audio.all_said, what="the caller's last word", timeout=timeout
        )

    async def press(self, keys: str) -> None:
        """Press keys, one after the other.

        Raises:
            ValueError: One of them is on no telephone: `0-9`, `*`, `#` or `A-D`.
            CallError: There is no media stream.
        """
        if not keys or set(keys) - _KEYS:
            raise ValueError(f"no keys of a telephone: {keys!r}")
        for key in keys:
            await self._line().press(key)

    @property
    def is_agent_speaking(self) -> bool:
        """Whether the caller hears audio of the agent now, silence included if the agent sent it."""
        return self._call.audio.agent_speaks

    async def agent_started(self, timeout: float = 30.0) -> None:
        """Wait until the caller hears the agent, at once if so now; raises as `wait_for`."""
        await self._call.timeline.until(
            lambda: self._call.audio.agent_speaks, what="the agent's first word", timeout=timeout
        )

    async def agent_finished(self, *, quiet_ms: float = 300, timeout: float = 60.0) -> None:
        """Wait until nothing was heard of the agent for so long; before its first word that is so too. Raises as `wait_for`."""
        await self._call.timeline.until(
            lambda: not self._call.audio.agent_speaks and self._call.audio.quiet_frames * FRAME_MS >= quiet_ms,
            what="the agent's last word",
            timeout=timeout,
        )

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_raw(self, message: str | bytes) -> None:
        """Send something that Twilio would not send, as it is.

        Raises:
            CallError: There is no media stream.
            TransportError: It is gone.
        """
        await self._line().send_raw(message)

    def hold(self, frames: int) -> None:
        """Send nothing for so many frames, then all of them back to back; raises `CallError` without a media stream."""
        self._line().hold(frames)

    def stop_reading(self) -> None:
        """Leave what the gateway sends on the network until `read_on`; raises `CallError` without a media stream."""
        self._line().stop_reading()

    def read_on(self) -> None:
        """Read again; raises `CallError` without a media stream."""
        self._line().read_on()

    def _line(self) -> TwilioLine:
        if self._call.switch.line is None:
            raise CallError("there is no media stream", call_id=self.call_sid)
        return self._call.switch.line
