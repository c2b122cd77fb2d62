"""Asking a silent peer whether it is still there."""

import math
from collections.abc import Awaitable, Callable

import anyio.lowlevel

from trunkline.clock import Clock
from trunkline.errors import InvalidConfig

LOOK_AGAIN = 0.001  # seconds, so that rounding does not make `run` turn on the spot
TURNS = 5


class KeepAlive:
    """Measures the silence of the other side, leaving out the time in which nobody listened.

    It stands beside the reader because a deadline for every read, fifty times a second, costs more than reading.

    Args:
        interval: Seconds of silence before a ping; None for no pings.
        timeout: Seconds to wait for anything after a ping; None to wait for ever.
        clock: Where time comes from.
    """

    def __init__(self, interval: float | None, timeout: float | None, clock: Clock) -> None:
        self._interval = interval
        self._timeout = math.inf if timeout is None else timeout
        self._clock = clock
        self._heard_at = self._left_at = clock.now()
        self._listening = False
        self._answer_by: float | None = None

    def listen(self) -> None:
        """From now on somebody listens."""
        if not self._listening:
            self._heard_at += self._clock.now() - self._left_at  # nobody listened, so that was no silence
            self._listening = True

    def leave(self) -> None:
        """From now on nobody listens."""
        if self._listening:
            self._left_at = self._clock.now()
            self._listening = False

    def heard(self) -> None:
        """Something came, or the end."""
        self._heard_at = self._clock.now() if self._listening else self._left_at
        self._answer_by = None

    async def run(
        self, is_open: Callable[[], bool], ping: Callable[[], Awaitable[None]], lose: Callable[[], Awaitable[None]]
    ) -> None:
        """Send pings into silence; ends with the connection.

        Args:
            is_open: Whether pings can be sent.
            ping: Sends one.
            lose: Called when nothing came after one.
        """
        interval, timeout = self._interval, self._timeout
        if interval is None:
            return
        while is_open():
            left = (interval if self._answer_by is None else self._answer_by) - self._silence()
            if left > 0:
                wait = max(LOOK_AGAIN, left if self._listening else min(interval, timeout))
                await self._clock.sleep_until(self._clock.now() + min(wait, interval))
            elif self._answer_by is None:
                await ping()
                self._answer_by = self._silence() + timeout
            else:
                for _ in range(TURNS):  # after a stall of the program the answer may be there unread
                    await anyio.lowlevel.checkpoint()
                if self._answer_by is not None:
                    await lose()

    def _silence(self) -> float:
        return (self._clock.now() if self._listening else self._left_at) - self._heard_at


def check_pings(interval: float | None, timeout: float | None) -> None:
    """Refuse times between pings that are none.

    Raises:
        InvalidConfig: One of them is not above 0.
    """
    for name, seconds in (("ping_interval", interval), ("ping_timeout", timeout)):
        if seconds is not None and not seconds > 0:
            raise InvalidConfig(name, "must be above 0, or None")
