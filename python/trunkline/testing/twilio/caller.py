"""A person with a telephone, and Twilio between them and your gateway."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from os import PathLike
from ssl import SSLContext
from types import TracebackType
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.loopback import is_loopback
from trunkline.testing.speech_file import read_speech
from trunkline.testing.twilio.phone import PhoneCall, TwilioPhone, make_phone_call
from trunkline.testing.twilio.switch import Instructions, StreamSetup
from trunkline.testing.twilio.webhooks import SIGNINGS, CallbackSetup, CallRecord


class CallRegister(Protocol):
    """Keeps calls for the commands that concern them."""

    def take(self, call: PhoneCall) -> None:
        """Know of a call from now on."""
        ...


class TwilioCaller(TwilioPhone):
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

    Events of `timeline`, each with its milliseconds since dialling: `webhook <status>`, `rejected <reason>`, `answered`, `stream
    refused <reason>`, `stream started`, `caller speaks`, `caller quiet`, `agent speaks`, `agent quiet` (audio is queued, or not),
    `queued mark <name>`, `mark <name>` (returned), `clear`, `dtmf <key>`, `stream stopped` (the caller hung up), `dropped`, `closed by
    the server <code>`, `pause <s>`, `play <digits>`, `say <text>`, `dial <target>`, `skipped <verb>`, `warning <code> <why>`, `error
    <code> <why>`, and at the end `completed <CallStatus>`.

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
        carrier: A `TwilioSimulator` through whose REST interface this call can be changed.
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
        carrier: CallRegister | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        _check_webhook_url(webhook_url)
        self._webhook = (webhook_url, webhook_method, webhook_copies)
        self._speech = speech
        self._carrier = carrier
        record = CallRecord(from_=from_, to=to, account_sid=account_sid, extra_fields=extra_fields or {}, clock=clock)
        callbacks = CallbackSetup(
            auth_token=auth_token,
            signing=SIGNINGS[sign],
            status_callback_url=status_callback_url,
            status_events=frozenset(status_events),
            out_of_order=status_out_of_order,
            tls=tls,
            timeout=webhook_timeout,
        )
        streams = StreamSetup(
            auth_token=auth_token,
            signing=SIGNINGS[sign if sign_upgrade is None else sign_upgrade],
            signed_as=sign_upgrade_as,
            mark_delay_ms=mark_delay_ms,
            tls=tls,
            connect_timeout=connect_timeout,
        )
        self._call = make_phone_call(record, callbacks, streams, clock=clock)

    # ── the call as a whole ──────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        if self._speech is not None:
            self._call.audio.say(await read_speech(self._speech))
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
        if self._carrier is not None:
            self._carrier.take(self._call)
        async with self._call.webhooks, anyio.create_task_group() as tasks:
            tasks.start_soon(self._dial)
            await self._call.switch.settled.wait()
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
        await self._call.switch.run(Instructions(url=url, method=method, copies=copies))


def _check_webhook_url(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise InvalidConfig("webhook_url", "must be https (http only on a loopback host)")
    if not host:
        raise InvalidConfig("webhook_url", "must name a host")
