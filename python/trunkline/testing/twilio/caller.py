"""A person with a telephone, and Twilio between them and your gateway."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from os import PathLike
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import CallError, InvalidConfig
from trunkline.loopback import is_loopback
from trunkline.testing.call_audio import FRAME_MS, CallAudio
from trunkline.testing.speech_file import read_speech
from trunkline.testing.timeline import Timeline
from trunkline.testing.twilio.line import End, TwilioLine
from trunkline.testing.twilio.switch import Findings, StreamSetup, TwilioSwitch
from trunkline.testing.twilio.webhooks import CallRecord, Signing, Webhooks

_KEYS: Final = frozenset("0123456789*#ABCD")
_SIGNINGS: Final[dict[bool | str, Signing]] = {True: "right", False: "none", "wrong": "wrong"}


class TwilioCaller:
    """Calls your gateway as Twilio would, and speaks and listens as the person on the phone would.

    .. code-block:: python

        async with TwilioCaller(webhook_url="http://127.0.0.1:8080/voice/inbound", auth_token="…", speech="question.wav") as call:
            await call.said()
            await call.agent_started()
            await call.agent_finished()
        assert not call.warnings
        play(call.heard)

    Entering dials: it posts the signed webhook and obeys the TwiML, and returns once the media stream runs, the document makes the caller
    wait, or the call is over (`refused` tells why, if it was refused). Leaving hangs up. A failure of the gateway never raises here: it is
    found in `refused`, `warnings`, `errors` and `timeline`.

    The caller's audio goes out every 20 ms in frames of 160 bytes, silence where there is nothing to say. What the gateway sends waits in a
    queue that is played at the same pace; marks wait in it too; `clear` empties it from the next frame on.

    Events of `timeline`, each with its milliseconds since dialling: `webhook <status>`, `rejected <reason>`, `answered`, `stream refused
    <reason>`, `stream started`, `caller speaks`, `caller quiet`, `agent speaks`, `agent quiet` (audio is queued, or not), `queued mark
    <name>`, `mark <name>` (returned), `clear`, `dtmf <key>`, `stream stopped` (the caller hung up), `dropped`, `closed by the server
    <code>`, `pause <s>`, `play <digits>`, `dial <target>`, `skipped <verb>`, `warning <code> <why>`, `error <code> <why>`, and at the end
    `completed <CallStatus>`.

    Args:
        webhook_url: Where the number's calls are announced; `https`, or `http` on this machine.
        auth_token: What everything is signed with; the gateway must know the same.
        speech: What the caller says first: µ-law bytes, or a file, WAV or else raw µ-law. `say` adds to it.
        from_: The caller's number.
        to: The number that was called.
        account_sid: Whose number that is.
        webhook_method: "POST", or "GET" with the fields in the query.
        webhook_copies: More than one repeats the webhook with the same idempotency token; only the first answer counts.
        extra_fields: More fields of every webhook, or other values for the usual ones.
        status_callback_url: Told of the call's progress.
        status_events: Which of initiated, ringing, answered and completed it is told.
        status_out_of_order: Deliver the last one first.
        mark_delay_ms: How much later than it was reached a mark is returned.
        sign: True as Twilio does, False not at all, "wrong" with another token.
        sign_upgrade: The same for the media socket, where it shall differ.
        sign_upgrade_as: Sign the media socket's address as "wss" (or `ws`, if that is dialled), or, wrongly, as "https".
        tls: What to trust on `https` and `wss`; the system's certificates if None.
        webhook_timeout: Seconds for the answer to a request.
        connect_timeout: Seconds for the media socket to open.
        clock: Whose seconds all of this goes by.

    Raises:
        InvalidConfig: The webhook's address is not one that Twilio would call, or the speech cannot be read.
    """

    def __init__(
        self,
        *,
        webhook_url: str,
        auth_token: str,
        speech: str | PathLike[str] | bytes | None = None,
        from_: str = "+15550100001",
        to: str = "+15550100002",
        account_sid: str = "AC00000000000000000000000000000001",
        webhook_method: Literal["GET", "POST"] = "POST",
        webhook_copies: int = 1,
        extra_fields: Mapping[str, str] | None = None,
        status_callback_url: str | None = None,
        status_events: Iterable[Literal["initiated", "ringing", "answered", "completed"]] = ("completed",),
        status_out_of_order: bool = False,
        mark_delay_ms: float = 0,
        sign: bool | Literal["wrong"] = True,
        sign_upgrade: bool | Literal["wrong"] | None = None,
        sign_upgrade_as: Literal["wss", "https"] = "wss",
        tls: SSLContext | None = None,
        webhook_timeout: float = 15.0,
        connect_timeout: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        _check_webhook_url(webhook_url)
        self._webhook = (webhook_url, webhook_method, webhook_copies)
        self._speech = speech
        self._record = CallRecord(
            from_=from_, to=to, account_sid=account_sid, extra_fields=extra_fields or {}, clock=clock
        )
        self._timeline = Timeline(clock=clock, call_id=self._record.call_sid)
        self._audio = CallAudio(timeline=self._timeline)
        self._findings = Findings(self._timeline)
        self._webhooks = Webhooks(
            self._record,
            auth_token=auth_token,
            signing=_SIGNINGS[sign],
            status_callback_url=status_callback_url,
            status_events=frozenset(status_events),
            out_of_order=status_out_of_order,
            tls=tls,
            timeout=webhook_timeout,
            fail=self._findings.fail,
            clock=clock,
        )
        self._switch = TwilioSwitch(
            record=self._record,
            webhooks=self._webhooks,
            audio=self._audio,
            findings=self._findings,
            setup=StreamSetup(
                auth_token=auth_token,
                signing=_SIGNINGS[sign if sign_upgrade is None else sign_upgrade],
                signed_as=sign_upgrade_as,
                mark_delay_ms=mark_delay_ms,
                tls=tls,
                connect_timeout=connect_timeout,
            ),
            clock=clock,
        )

    # ── the call as a whole ──────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        if self._speech is not None:
            self._audio.say(await read_speech(self._speech))
        self._living: AbstractAsyncContextManager[None] = self._live()
        await self._living.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._living.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _live(self) -> AsyncIterator[None]:
        failure: BaseException | None = None
        async with self._webhooks, anyio.create_task_group() as tasks:
            tasks.start_soon(self._dial)
            await self._switch.settled.wait()
            try:
                yield
                await self.hang_up()
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _dial(self) -> None:
        url, method, copies = self._webhook
        await self._switch.run(url, method, copies=copies)

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def call_sid(self) -> str:
        """The call's id."""
        return self._record.call_sid

    @property
    def start(self) -> Mapping[str, Any]:
        """What the last stream's start message told: ids, format, and in `customParameters` those of the TwiML; empty before."""
        return self._findings.start

    @property
    def timeline(self) -> list[tuple[float, str]]:
        """What happened, with the milliseconds since dialling; see the class."""
        return self._timeline.entries

    @property
    def heard(self) -> bytes:
        """What the caller heard, µ-law: one frame each 20 ms since `media_began_ms`, silence where nothing was queued."""
        return bytes(self._audio.heard)

    @property
    def sent(self) -> bytes:
        """What the caller sent, on the time base of `heard`."""
        return bytes(self._audio.sent)

    @property
    def media_began_ms(self) -> float | None:
        """When the first media stream began, on the time base of `timeline`; None if none did."""
        return self._audio.began_ms

    @property
    def refused(self) -> str | None:
        """Why there was no conversation: "busy" or "rejected", the HTTP status that refused a webhook or an upgrade, or a sentence."""
        return self._findings.refused

    @property
    def warnings(self) -> list[tuple[int, str]]:
        """Messages of the gateway that Twilio would ignore, by warning code (31950 a binary frame, 31951 anything else) and reason."""
        return self._findings.warnings

    @property
    def errors(self) -> list[tuple[int, str]]:
        """What Twilio could not do, by its error code and reason: 11200 HTTP, 12100 document, 319xx media stream."""
        return self._findings.errors

    @property
    def dialled(self) -> list[str]:
        """Whom the gateway had the caller connected with."""
        return self._findings.dialled

    @property
    def played_digits(self) -> list[str]:
        """The keys that the gateway had played into the call, one entry for each Play."""
        return self._findings.played_digits

    @property
    def ended(self) -> bool:
        """Whether the call is over and everybody was told."""
        return self._switch.ended

    @property
    def ended_by(self) -> End | None:
        """Who ended the last stream: "caller", "server", or "dropped"; None while there was none."""
        return self._findings.ended_by

    @property
    def close_code(self) -> int | None:
        """The code with which the gateway closed the last stream; None if it did not."""
        return self._findings.close_code

    # ── the call as it goes on ───────────────────────────────────────────────────────────────────────────────────────

    async def wait_for(self, event: str, timeout: float = 30.0, *, count: int = 1) -> float:
        """Wait for an event of the timeline, by all its words or the first of them, to have happened `count` times, now or before.

        Returns:
            When it did, in milliseconds since dialling.

        Raises:
            DeadlineExceeded: It did not in `timeout` seconds.
            CallError: The call ended without it.
        """
        return await self._timeline.wait_for(event, timeout=timeout, count=count)

    async def hang_up(self, timeout: float = 30.0) -> None:
        """Hang up, and wait until the call is over and everybody was told; nothing happens if it is over.

        Raises:
            DeadlineExceeded: The gateway did not take the news in time.
        """
        if not self.ended:
            await self._switch.hang_up()
        await self.wait_ended(timeout)

    async def drop(self, timeout: float = 30.0) -> None:
        """Let the media socket vanish, without `stop` and without a close frame, and the call with it; raises as `press` and `hang_up`."""
        await self._switch.drop(self._line())
        await self.wait_ended(timeout)

    async def wait_ended(self, timeout: float = 30.0) -> None:
        """Wait until the call is over, whoever ends it.

        Raises:
            DeadlineExceeded: It is not over after `timeout` seconds.
        """
        await self._timeline.until(lambda: self.ended, what="the end of the call", timeout=timeout)

    # ── what the person does ─────────────────────────────────────────────────────────────────────────────────────────

    def say(self, mulaw: bytes) -> None:
        """Speak, after what is still to be said; returns at once."""
        self._audio.say(mulaw)

    async def said(self, timeout: float = 60.0) -> None:
        """Wait until everything that the caller has to say was sent; raises as `wait_for`."""
        await self._timeline.until(lambda: self._audio.all_said, what="the caller's last word", timeout=timeout)

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
        return self._audio.agent_speaks

    async def agent_started(self, timeout: float = 30.0) -> None:
        """Wait until the caller hears the agent, at once if so now; raises as `wait_for`."""
        await self._timeline.until(lambda: self._audio.agent_speaks, what="the agent's first word", timeout=timeout)

    async def agent_finished(self, *, quiet_ms: float = 300, timeout: float = 60.0) -> None:
        """Wait until nothing was heard of the agent for so long; before its first word that is so too. Raises as `wait_for`."""
        await self._timeline.until(
            lambda: not self._audio.agent_speaks and self._audio.quiet_frames * FRAME_MS >= quiet_ms,
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
        if self._switch.line is None:
            raise CallError("there is no media stream", call_id=self.call_sid)
        return self._switch.line


def _check_webhook_url(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise InvalidConfig("webhook_url", "must be https (http only on a loopback host)")
    if not host:
        raise InvalidConfig("webhook_url", "must name a host")
