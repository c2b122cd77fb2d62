"""What an application can have the carrier do with a call in progress: transfer it, press keys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio

from trunkline.clock import Clock
from trunkline.errors import CallError, CallNotFound, InvalidConfig
from trunkline.telephony.continued import ContinuedLine
from trunkline.telephony.control import CallControl
from trunkline.telephony.line import CallLine, DtmfLine

KEYS: Final = frozenset("0123456789*#ABCDwW")
KEY_SECONDS: Final = 1.0
"""How long a key takes at most; `W` is the longest, a pause of a second."""


class CallCommands:
    """The commands for the calls of one gateway.

    Args:
        control: The carrier's REST interface; None where the gateway has no credentials for it.
        media_url: Makes the address of another media socket for a call.
        clock: What waits are measured by.
    """

    def __init__(self, control: CallControl | None, *, media_url: Callable[[str], str], clock: Clock) -> None:
        self._control = control
        self._media_url = media_url
        self._clock = clock
        self._lines: dict[str, CallLine] = {}
        self._turns: dict[str, anyio.Lock] = {}

    @property
    def control(self) -> CallControl:
        """The carrier's REST interface.

        Raises:
            InvalidConfig: The gateway has no credentials for it.
        """
        if self._control is None:
            raise InvalidConfig("gateway", "has no credentials for the carrier's REST interface")
        return self._control

    def line_of(self, call_id: str) -> ContinuedLine | None:
        """The line of a call in progress that may move to another socket."""
        line = self._lines.get(call_id)
        return line if isinstance(line, ContinuedLine) else None

    @contextmanager
    def line(self, call_id: str, line: CallLine) -> Iterator[CallLine]:
        """The line of a call, while it is in progress; it may move to another socket where the carrier can be asked for what moves it."""
        # No carrier that cannot be asked for anything moves a line, and a line that may move costs a call for each frame.
        if self._control is not None and not isinstance(line, ContinuedLine):
            line = ContinuedLine(line.traits, clock=self._clock, line=line)
        self._lines[call_id] = line
        self._turns[call_id] = anyio.Lock()
        try:
            yield line
        finally:
            if self._lines.get(call_id) is line:
                del self._lines[call_id], self._turns[call_id]

    async def transfer(self, call_id: str, to: str, *, from_: str = "") -> None:
        """Connect the caller with somebody else; the call's media ends, but its line waits for whoever ends the call.

        Raises:
            CallNotFound: The call is over.
            InvalidConfig: `to` cannot be dialled, or the gateway has no credentials.
            ProviderError: The carrier refused.
            TransportError: The carrier cannot be reached.
        """
        control, line = self.control, self._movable(self._line(call_id))
        async with self._turns[call_id]:
            with line.interruption():
                await control.transfer(call_id, to, from_=from_)

    async def send_dtmf(self, call_id: str, digits: str) -> None:
        """Press keys; returns when they were pressed. Raises as `transfer`, and `CallError` where the media does not come back."""
        if not digits or set(digits) - KEYS:
            raise InvalidConfig("digits", "must be some of 0-9 * # A-D, w (half a second's pause) and W (a second's)")
        line = self._line(call_id)
        async with self._turns[call_id]:
            before = line.current if isinstance(line, ContinuedLine) else line
            if isinstance(before, DtmfLine):
                await before.send_dtmf(digits)
                return
            control, line = self.control, self._movable(line)
            with line.interruption(len(digits) * KEY_SECONDS):
                await control.send_dtmf(call_id, digits, media_url=self._media_url(call_id))
            await line.wait_line()
            if line.current is before:
                raise CallError("its media did not come back after the keys", call_id=call_id)

    def _line(self, call_id: str) -> CallLine:
        line = self._lines.get(call_id)
        if line is None or (isinstance(line, ContinuedLine) and not line.has_begun):
            raise CallNotFound("is not in progress", call_id=call_id)
        return line

    def _movable(self, line: CallLine) -> ContinuedLine:
        assert isinstance(line, ContinuedLine)  # noqa: S101 - every line is one where there is a control
        return line
