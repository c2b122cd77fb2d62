"""Which calls may come in: a place for each, and a token for its media socket that works once.

A call holds its place from the moment it is announced until its media is over, once however often it is announced: while it is decided
about, while its media socket is awaited, and while that socket is open.
"""

import math
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from trunkline.clock import Clock
from trunkline.errors import CallRejected
from trunkline.gateway.config import CallInfo, Logger
from trunkline.tools.calling import call

CallHandler = Callable[[CallInfo], Awaitable[None] | None]

TOKEN_LIFETIME: Final = 60.0
"""Seconds in which the carrier must open the media socket of an accepted call."""


@dataclass(slots=True)
class Place:
    """One call's place; `turn` is held while the call is decided about, so that a repeated announcement waits for the first answer."""

    caller: str = ""
    holders: int = 0
    turn: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(slots=True)
class _Expected:
    """A call that was accepted; `redeemed` once its media socket is being opened."""

    info: CallInfo
    expires: float
    redeemed: bool = False


class Admission:
    """The places and tokens of one gateway.

    Args:
        places: How many calls may be in at once.
        places_per_caller: How many of them may come from one number; None does not count. Callers without a number are not counted.
        clock: What the age of tokens is measured by.
    """

    def __init__(self, *, places: int, places_per_caller: int | None = None, clock: Clock) -> None:
        self._limit = places
        self._limit_per_caller = places_per_caller
        self._clock = clock
        self._places: dict[str, Place] = {}
        self._expected: dict[str, _Expected] = {}
        self._freed = anyio.Event()

    @property
    def full(self) -> bool:
        """Whether a new call would find no place."""
        self._forget_expired()
        return len(self._places) >= self._limit

    async def wait_empty(self) -> None:
        """Wait until no call holds a place: none is being decided about, awaited or carried."""
        self._forget_expired()
        while self._places:
            oldest = min((expected.expires for expected in self._expected.values()), default=math.inf)
            with self._clock.move_on_after(oldest - self._clock.now()):
                await self._freed.wait()
            self._forget_expired()

    @contextmanager
    def place(self, call_id: str, caller: str = "") -> Iterator[Place]:
        """Hold the call's place; several may hold it at once.

        Args:
            call_id: Which call.
            caller: The number that calls, "" if it is not known.

        Raises:
            CallRejected: The call has no place yet and there is none left.
        """
        if call_id not in self._places and (self.full or self._calls_too_often(caller)):
            raise CallRejected("busy", call_id=call_id)
        place = self._hold(call_id)
        place.caller = place.caller or caller
        try:
            yield place
        finally:
            self._release(call_id)

    @contextmanager
    def arrival(self, call_id: str) -> Iterator[Place]:
        """Hold the place of a call whose media socket is open, in place of the token that led there."""
        with self.place(call_id) as place:
            for token, expected in list(self._expected.items()):
                if expected.redeemed and expected.info.call_id == call_id:
                    self._drop(token)
            yield place

    def expect(self, info: CallInfo) -> str:
        """A token for the media socket of a call; it holds the call's place until it is used or too old."""
        token = secrets.token_urlsafe(24)
        self._hold(info.call_id)
        self._expected[token] = _Expected(info, self._clock.now() + TOKEN_LIFETIME)
        return token

    def token_of(self, call_id: str) -> str | None:
        """The token that the call was given and has not used."""
        self._forget_expired()
        for token, expected in self._expected.items():
            if expected.info.call_id == call_id and not expected.redeemed:
                return token
        return None

    def info_of(self, token: str) -> CallInfo:
        """The call that a token was given for, as it was accepted."""
        return self._expected[token].info

    def redeem(self, token: str) -> CallInfo | None:
        """The call that a token belongs to; the token is used up by asking. Its place is kept for the `arrival`."""
        self._forget_expired()
        expected = self._expected.get(token)
        if expected is None or expected.redeemed:
            return None
        expected.redeemed = True
        return expected.info

    def forget(self, call_id: str) -> None:
        """The call is over: its tokens no longer work."""
        for token, expected in list(self._expected.items()):
            if expected.info.call_id == call_id:
                self._drop(token)

    def _calls_too_often(self, caller: str) -> bool:
        if self._limit_per_caller is None or not caller:
            return False
        return sum(place.caller == caller for place in self._places.values()) >= self._limit_per_caller

    def _forget_expired(self) -> None:
        now = self._clock.now()
        for token, expected in list(self._expected.items()):
            if expected.expires <= now:
                self._drop(token)

    def _drop(self, token: str) -> None:
        self._release(self._expected.pop(token).info.call_id)

    def _hold(self, call_id: str) -> Place:
        place = self._places.setdefault(call_id, Place())
        place.holders += 1
        return place

    def _release(self, call_id: str) -> None:
        place = self._places[call_id]
        place.holders -= 1
        if not place.holders:
            del self._places[call_id]
            self._freed.set()
            self._freed = anyio.Event()


async def ask_application(
    handler: CallHandler, info: CallInfo, *, timeout: float, clock: Clock, logger: Logger
) -> None:
    """Let the application decide about a call.

    Raises:
        CallRejected: It refused the call, failed, or took more than `timeout` seconds.
    """
    try:
        with clock.move_on_after(timeout) as limit:
            await call(handler, info)
    except CallRejected as rejected:
        rejected.call_id = info.call_id
        raise
    except Exception as error:
        logger.exception("call %s is refused: the on_call handler failed", info.call_id)
        raise CallRejected("rejected", call_id=info.call_id) from error
    if limit.cancelled_caught:
        logger.error("call %s is refused: the on_call handler took too long", info.call_id)
        raise CallRejected("rejected", call_id=info.call_id)
