"""What a carrier can be asked to do with a call, besides its media; whoever the carrier is."""

from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from trunkline.errors import (
    AuthFailed,
    CallNotFound,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    TrunklineError,
)

MachineDetection = bool | Literal["message_end"]
"""Find out whether a person or a machine answers: True at once, "message_end" when a machine's greeting is over, too."""

CallState = Literal["initiated", "ringing", "answered", "busy", "no_answer", "failed", "completed"]
"""How far a call is; the last four are ends."""

FINAL: frozenset[CallState] = frozenset({"busy", "no_answer", "failed", "completed"})
"""The ends of a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingCall:
    """A call to be made.

    Attributes:
        to: Who is called: a number in E.164 form, or what else the carrier can dial.
        from_: The number that is shown, one of the account's.
        answer_url: Where the carrier asks what to do once it is answered.
        status_url: Where the carrier tells how the call goes, and who answered.
        timeout: Seconds that it rings.
        machine_detection: Whether to find out if a machine answers.
        record: Whether the carrier records it.
    """

    to: str
    from_: str
    answer_url: str
    status_url: str
    timeout: int = 30
    machine_detection: MachineDetection = False
    record: bool = False


class CallControl(Protocol):
    """A carrier's REST interface: one object for each account, opened with `async with`.

    Every method raises, besides what it names itself: `AuthFailed`, `RateLimited`, `ProviderUnavailable`, `RequestRejected` with the
    carrier's code, `CallNotFound` where the carrier does not know the call, `TransportError` where the carrier cannot be reached.
    """

    def check(self, call: OutgoingCall) -> None:
        """Refuse what the carrier would refuse, before anything is sent.

        Raises:
            InvalidConfig: A number that cannot be dialled, or a value out of its bounds.
        """
        ...

    async def create(self, call: OutgoingCall) -> str:
        """Make a call; the carrier's id of it, before it rings."""
        ...

    async def hang_up(self, call_id: str) -> None:
        """End a call, whether it rings or was answered; one that is over already is no error."""
        ...

    async def transfer(self, call_id: str, to: str, *, from_: str = "") -> None:
        """Connect the caller with somebody else and leave the call; its media stream ends.

        Args:
            call_id: The call.
            to: Who is called.
            from_: The number that is shown to them; "" leaves it to the carrier.

        Raises:
            InvalidConfig: `to` cannot be dialled.
        """
        ...

    async def send_dtmf(self, call_id: str, digits: str, *, media_url: str) -> None:
        """Press keys.

        Args:
            call_id: The call.
            digits: 0-9, *, #, A-D, and `w` for a pause of half a second.
            media_url: Where the media stream goes on, for a carrier that has to end it for this.

        Raises:
            InvalidConfig: One of them is no key.
        """
        ...

    async def update(self, call_id: str, document: str) -> None:
        """Give the carrier new instructions for a call that was answered, in its own language; its media stream ends."""
        ...

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        ...


def command_error(
    vendor: str,
    status: int,
    message: str,
    code: str | None = None,
    *,
    call_id: str = "",
    retry_after: float | None = None,
) -> TrunklineError:
    """The error for a command that a carrier answered with an HTTP status above 399."""
    kind: type[ProviderError]
    if status == 404 and call_id:
        return CallNotFound(message, call_id=call_id)
    if status in {401, 403}:
        kind = AuthFailed
    elif status == 429:
        kind = RateLimited
    else:
        kind = ProviderUnavailable if status >= 500 else RequestRejected
    return kind(message, code or str(status), vendor=vendor, retry_after=retry_after)
