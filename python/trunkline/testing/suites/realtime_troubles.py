"""Troubles, and how each must end: an error or an end, never silence; and what is no reason to end is survived."""

from collections.abc import Callable
from typing import Any, TypeVar

from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    SessionClosed,
)
from trunkline.realtime.events import ResponseFinished, SessionEnded, SessionEnding
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.brain import Say
from trunkline.testing.suites.realtime_checks import RealtimeChecks, offered, with_trouble
from trunkline.testing.suites.realtime_listener import complete, expect
from trunkline.testing.suites.realtime_stage import Scene, Trouble

_F = TypeVar("_F", bound=Callable[..., Any])

_WORDS = "The first answer has some words in it."


def _ends_with(trouble: Trouble) -> Callable[[_F], _F]:
    """A check of sessions that this ends; where a session can be taken up again it goes on instead."""
    return offered(lambda suite: trouble in suite.troubles and not suite.lasting)


class Troubles(RealtimeChecks):
    """What happens in a call on a bad day."""

    # ── the session ends, and says why ───────────────────────────────────────────────────────────────────────────────

    @_ends_with(Trouble.DROP)
    async def test_a_broken_connection_ends_with_an_error(self) -> None:
        """A connection that breaks."""
        await self._ends(Trouble.DROP)

    @_ends_with(Trouble.CLOSE)
    async def test_a_vendor_that_closes_ends_with_an_error(self) -> None:
        """A close code that says the vendor failed."""
        await self._ends(Trouble.CLOSE)

    @_ends_with(Trouble.HALF_OPEN)
    async def test_a_half_open_connection_ends_with_an_error(self) -> None:
        """A socket on which nothing moves any more."""
        await self._ends(Trouble.HALF_OPEN)

    @_ends_with(Trouble.OVERSIZED)
    async def test_an_oversized_message_ends_with_an_error(self) -> None:
        """A message above the limit."""
        await self._ends(Trouble.OVERSIZED)

    @_ends_with(Trouble.EXPIRY)
    async def test_an_expired_session_ends_with_an_error(self) -> None:
        """The vendor's own limit of a session."""
        await self._ends(Trouble.EXPIRY)

    async def _ends(self, trouble: Trouble) -> None:
        tasks = self.running()
        async with self.playing(Scene(answers=[[Say(_WORDS)]])) as on:
            on.vendor.inflict(trouble)
            await on.session.send_text("Hello.")
            ended = await on.listener.end()
            expect(isinstance(ended.error, ProviderError), f"SessionEnded must carry the error, not {ended.error}")
            fatal = [event.error for event in on.listener.errors if event.fatal]
            expect(fatal == [ended.error], f"one fatal error must be told before the end, told were {fatal}")
            try:
                await on.session.send_audio(bytes(320))
            except SessionClosed:
                pass
            else:
                raise AssertionError("after the end send_audio must raise SessionClosed")
            await on.session.aclose()
        await self.settled(None, tasks)

    # ── the session goes on ──────────────────────────────────────────────────────────────────────────────────────────

    @with_trouble(Trouble.ERROR)
    async def test_an_error_event_is_told_and_survived(self) -> None:
        """An error that ends nothing."""
        expect(await self._survives(Trouble.ERROR) == 1, "the vendor's error must be told, once")

    @with_trouble(Trouble.MALFORMED)
    async def test_a_malformed_message_is_told_and_survived(self) -> None:
        """A message that cannot be read."""
        expect(await self._survives(Trouble.MALFORMED) == 1, "a message that cannot be read must be told, once")

    @with_trouble(Trouble.STALL)
    async def test_a_stall_is_survived(self) -> None:
        """A moment of silence."""
        expect(await self._survives(Trouble.STALL) == 0, "a moment of silence is no error")

    @with_trouble(Trouble.SLOW)
    async def test_a_slow_vendor_is_survived(self) -> None:
        """A line on which everything is late."""
        expect(await self._survives(Trouble.SLOW) == 0, "slowness is no error")

    @with_trouble(Trouble.REORDER)
    async def test_messages_out_of_order_are_survived(self) -> None:
        """Two messages that change places."""
        await self._survives(Trouble.REORDER)

    @with_trouble(Trouble.DUPLICATE)
    async def test_a_message_that_comes_twice_is_survived(self) -> None:
        """A message that comes twice."""
        await self._survives(Trouble.DUPLICATE)

    async def _survives(self, trouble: Trouble) -> int:
        """Two answers, the first in trouble and the second whole; gives how many errors were told."""
        async with self.playing(Scene(answers=[[Say(_WORDS)], [Say("Yes.")]])) as on:
            on.vendor.inflict(trouble)
            await on.session.send_text("Hello.")
            first = await on.listener.answer()
            expect(first.finished.status == "completed", f"the first answer is {first.finished.status}")
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")
            expect(not any(isinstance(event, SessionEnded) for event in on.listener.events), "the session ended")
            expect(
                not any(event.fatal for event in on.listener.errors), "a fatal error was told, and the session went on"
            )
            return len(on.listener.errors)

    @with_trouble(Trouble.ENDING)
    async def test_the_vendor_says_when_it_will_end_the_session(self) -> None:
        """`SessionEnding` is told, `ending_at` shows the same moment, and the session goes on until then."""
        async with self.playing(Scene(answers=[[Say(_WORDS)], [Say("Yes.")]])) as on:
            on.vendor.inflict(Trouble.ENDING)
            await on.session.send_text("Hello.")
            ending = await on.listener.until(SessionEnding)
            expect(
                on.session.ending_at == ending.ending_at,
                f"SessionEnding says {ending.ending_at}, but ending_at is {on.session.ending_at}",
            )
            await on.session.send_text("Are you there?")
            await on.listener.until(ResponseFinished)
            expect(not any(isinstance(event, SessionEnded) for event in on.listener.events), "the session ended")

    # ── at the door ──────────────────────────────────────────────────────────────────────────────────────────────────

    @with_trouble(Trouble.REFUSED)
    async def test_an_overloaded_vendor_refuses(self) -> None:
        """`ProviderUnavailable` is raised, and the next session works."""
        await self._is_refused(Trouble.REFUSED, ProviderUnavailable)

    @with_trouble(Trouble.HANGING)
    async def test_a_vendor_that_hangs_in_the_handshake(self) -> None:
        """`ConnectionFailed` is raised in time, and the next session works."""
        await self._is_refused(Trouble.HANGING, ConnectionFailed)

    @with_trouble(Trouble.WRONG_KEY)
    async def test_a_key_is_refused(self) -> None:
        """`AuthFailed` is raised."""
        await self._is_refused(Trouble.WRONG_KEY, AuthFailed)

    @with_trouble(Trouble.RATE_LIMITED)
    async def test_too_many_requests(self) -> None:
        """`RateLimited` is raised, and the next session works."""
        await self._is_refused(Trouble.RATE_LIMITED, RateLimited)

    async def _is_refused(self, trouble: Trouble, kind: type[ProviderError]) -> None:
        tasks = self.running()
        refusal: ProviderError | None = None
        try:
            async with self.playing(Scene(), trouble=trouble):
                pass
        except ProviderError as error:
            refusal = error
        expect(type(refusal) is kind, f"{kind.__name__} must be raised, not {refusal!r}")
        await self.settled(None, tasks)
        async with self.playing(Scene(answers=[[Say("Yes.")]]), ProcessConfig()) as on:
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")
