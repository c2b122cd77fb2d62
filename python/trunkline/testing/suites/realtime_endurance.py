"""Sessions that are taken up again: what ends another provider's session is survived here, and so is the vendor's limit."""

from collections.abc import Callable
from typing import Any, TypeVar

from trunkline.realtime.events import SessionEnded, SessionReady, SessionRotated
from trunkline.testing.brain import Say
from trunkline.testing.suites.realtime_checks import RealtimeChecks, offered
from trunkline.testing.suites.realtime_listener import complete, expect
from trunkline.testing.suites.realtime_stage import Scene, Trouble

_F = TypeVar("_F", bound=Callable[..., Any])

_WORDS = "The first answer has some words in it."


def _survives(trouble: Trouble) -> Callable[[_F], _F]:
    """A check of sessions that are taken up again after this."""
    return offered(lambda suite: suite.lasting and trouble in suite.troubles)


class Endurance(RealtimeChecks):
    """What happens in a call that is longer than the vendor's sessions."""

    @_survives(Trouble.DROP)
    async def test_a_broken_connection_is_taken_up_again(self) -> None:
        """A connection that breaks."""
        await self._goes_on_after(Trouble.DROP)

    @_survives(Trouble.CLOSE)
    async def test_a_session_that_the_vendor_closed_is_taken_up_again(self) -> None:
        """A close code that says the vendor failed."""
        await self._goes_on_after(Trouble.CLOSE)

    @_survives(Trouble.HALF_OPEN)
    async def test_a_half_open_connection_is_taken_up_again(self) -> None:
        """A socket on which nothing moves any more."""
        await self._goes_on_after(Trouble.HALF_OPEN)

    @_survives(Trouble.OVERSIZED)
    async def test_a_session_is_taken_up_again_after_an_oversized_message(self) -> None:
        """A message above the limit."""
        await self._goes_on_after(Trouble.OVERSIZED)

    @_survives(Trouble.EXPIRY)
    async def test_an_expired_session_is_taken_up_again(self) -> None:
        """The vendor's own limit, met unprepared."""
        await self._goes_on_after(Trouble.EXPIRY)

    async def _goes_on_after(self, trouble: Trouble) -> None:
        async with self.playing(Scene(answers=[[Say(_WORDS)], *[[Say("Yes.")]] * 9])) as on:
            await on.session.update_instructions("Speak Welsh.")
            on.vendor.inflict(trouble)
            await on.session.send_text("Hello.")
            await on.listener.until(SessionRotated)
            expect(on.listener.errors, "what broke the session must be told")
            expect(
                not any(event.fatal for event in on.listener.errors), "a fatal error was told, and the session went on"
            )
            expect(
                on.vendor.instructions == "Speak Welsh.",
                "the new session does not have the instructions of the old one",
            )
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")
            expect(not any(isinstance(event, SessionEnded) for event in on.listener.events), "the session ended")

    @offered(lambda suite: suite.lasting)
    async def test_sessions_are_replaced_before_the_vendors_limit(self) -> None:
        """Make before break: nothing is told but `SessionRotated`, and the conversation goes on."""
        async with self.playing(
            Scene(answers=[[Say("Good day.")], [Say("Yes.")], [Say("Yes.")]], short_lived=True)
        ) as on:
            await on.session.update_instructions("Speak Welsh.")
            await on.session.send_text("Hello.")
            complete(await on.listener.answer(), "Good day.")
            await on.listener.until(SessionRotated)
            expect(
                on.vendor.instructions == "Speak Welsh.",
                "the new session does not have the instructions of the old one",
            )
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")
            expect(not on.listener.errors, f"an error was told: {on.listener.errors}")
            ready = [event for event in on.listener.events if isinstance(event, SessionReady)]
            expect(len(ready) == 1, f"SessionReady must come once, it came {len(ready)} times")
