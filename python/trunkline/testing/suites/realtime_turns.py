"""Conversations that go well: spoken, written, with tools, interrupted, cancelled, truncated, in turns by hand."""

from trunkline.audio import AudioFormat
from trunkline.realtime.events import (
    AudioReceived,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    UserTranscript,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.brain import Say
from trunkline.testing.suites.realtime_checks import RealtimeChecks, with_capability
from trunkline.testing.suites.realtime_listener import complete, expect
from trunkline.testing.suites.realtime_stage import Scene

LONG = "This answer is so long that whoever listens to it will want to say something in the middle."


class Turns(RealtimeChecks):
    """What happens in a call on a good day."""

    async def test_it_connects_and_says_what_it_can_do(self) -> None:
        """`SessionReady` comes first; formats, rates and capabilities agree; the instructions arrive."""
        async with self.playing(Scene(), ProcessConfig(instructions="Be brief.")) as on:
            ready = await on.listener.next()
            expect(isinstance(ready, SessionReady), f"the first event must be SessionReady, not {ready}")
            told, own = on.session.capabilities, self.capabilities
            expect(on.vendor.provider.capabilities == own, f"the provider says {on.vendor.provider.capabilities}")
            for name in ("input_rate", "output_rate", "native_formats"):
                expect(getattr(told, name) == getattr(own, name), f"the session has another {name} than its provider")
            if isinstance(ready, SessionReady):
                agreed = (on.session.input_format, on.session.output_format)
                expect(
                    (ready.input_format, ready.output_format) == agreed,
                    "SessionReady tells other formats than the session",
                )
            rates = (on.session.input_format.sample_rate, on.session.output_format.sample_rate)
            expect(
                rates == (own.input_rate, own.output_rate),
                f"unless other formats are asked for the rates must be the vendor's own, not {rates}",
            )
            expect(on.vendor.instructions == "Be brief.", f"the vendor was told {on.vendor.instructions!r}")

    async def test_a_spoken_turn(self) -> None:
        """Speech in, transcript and spoken answer out, in their order, and no byte of the user's is lost or changed."""
        async with self.playing(Scene(transcripts=["hello there"], answers=[[Say("Good day.")]])) as on:
            sent = await self.speak(on.session)
            await self.end_turn(on.session)
            complete(await on.listener.answer(), "Good day.")
            if not on.listener.happened(UserTranscript, lambda event: event.is_final):
                await on.listener.until(UserTranscript, lambda event: event.is_final)
            said = [event.text for event in on.listener.events if isinstance(event, UserTranscript) and event.is_final]
            expect(said == ["hello there"], f"the user said 'hello there', told was {said}")
            order = [type(event) for event in on.listener.events]
            kinds: list[type] = [ResponseStarted, AudioReceived, ResponseFinished]
            if on.session.capabilities.reports_speech:
                kinds = [SpeechStarted, SpeechStopped, *kinds]
            else:
                expect(not {SpeechStarted, SpeechStopped} & set(order), "reports_speech is False, but speech was told")
            expect(sorted(kinds, key=order.index) == kinds, f"the order of events is {order}")
            await self.arrived(on.vendor, sent)

    async def test_a_text_turn(self) -> None:
        """Two written turns, each answered aloud and in words."""
        async with self.playing(Scene(answers=[[Say("Good day.")], [Say("And again.")]])) as on:
            for words in ("Good day.", "And again."):
                await on.session.send_text("Hello.")
                complete(await on.listener.answer(), words)

    async def test_native_formats_pass_through(self) -> None:
        """A spoken turn in each format that the provider calls native."""
        for native in self.capabilities.native_formats:
            await self._native(native)

    async def _native(self, native: AudioFormat) -> None:
        scene = Scene(transcripts=["hello"], answers=[[Say("Good day.")]])
        async with self.playing(scene, ProcessConfig(input_format=native, output_format=native)) as on:
            agreed = (on.session.input_format, on.session.output_format)
            expect(agreed == (native, native), f"{native} is native, but the session has {agreed}")
            sent = await self.speak(on.session)
            await self.end_turn(on.session)
            complete(await on.listener.answer(), "Good day.")
            await self.arrived(on.vendor, sent)

    # ── turn control ─────────────────────────────────────────────────────────────────────────────────────────────────

    @with_capability("interrupts_itself")
    async def test_the_user_interrupts(self) -> None:
        """Speech during an answer cancels it, is told as `Interrupted`, lets no audio of it through, and is answered."""
        scene = Scene(transcripts=["stop"], answers=[[Say(LONG)], [Say("Yes.")]], real_time=True)
        async with self.playing(scene) as on:
            await on.session.send_text("Tell me everything.")
            first = await on.listener.until(AudioReceived)
            await self.speak(on.session)
            await on.listener.until(Interrupted if not on.session.capabilities.reports_speech else SpeechStarted)
            finished = await on.listener.until(ResponseFinished)
            expect(finished.status == "cancelled", f"the response that was interrupted is told to be {finished.status}")
            expect(on.listener.happened(Interrupted), "Interrupted was not told")
            complete(await on.listener.answer(), "Yes.")
            began = next(
                place
                for place, event in enumerate(on.listener.events)
                if isinstance(event, SpeechStarted | Interrupted)
            )
            late = [event for event in on.listener.events[began:] if isinstance(event, AudioReceived)]
            expect(
                all(event.response_id != first.response_id for event in late),
                "audio of an answer that was interrupted came",
            )

    @with_capability("cancel")
    async def test_an_answer_is_cancelled(self) -> None:
        """A cancelled answer ends as such, without more audio, and the next one is whole."""
        async with self.playing(Scene(answers=[[Say(LONG)], [Say("Yes.")]], real_time=True)) as on:
            await on.session.cancel_response()  # harmless when there is none
            await on.session.send_text("Tell me everything.")
            await on.listener.until(AudioReceived)
            await on.session.cancel_response()
            place = len(on.listener.events)
            finished = await on.listener.until(ResponseFinished)
            expect(finished.status == "cancelled", f"the response that was cancelled is told to be {finished.status}")
            expect(
                not any(isinstance(event, AudioReceived) for event in on.listener.events[place:]),
                "audio came after the cancel",
            )
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")

    @with_capability("truncate")
    async def test_an_answer_is_truncated_to_what_was_heard(self) -> None:
        """The vendor is told how much of an answer was heard."""
        async with self.playing(Scene(answers=[[Say("Good day.")], [Say("Yes.")]])) as on:
            await on.session.send_text("Hello.")
            answer = await on.listener.answer()
            await on.session.truncate(answer.item_id, heard_ms=120)
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")
            expect(
                list(on.vendor.truncations) == [(answer.item_id, 120)], f"the vendor truncated {on.vendor.truncations}"
            )
            expect(not on.listener.errors, f"an error was told: {on.listener.errors}")

    @with_capability("commit")
    @with_capability("clear")
    async def test_turns_by_hand(self) -> None:
        """With the vendor's detection off, audio is cleared, committed and answered when the program says so."""
        async with self.playing(Scene(transcripts=["hello"], answers=[[Say("Good day.")]], commit=True)) as on:
            await self.speak(on.session)
            await on.session.clear_audio()
            sent = await self.speak(on.session)
            await on.session.commit_audio()
            await on.session.create_response()
            complete(await on.listener.answer(), "Good day.")
            if not on.listener.happened(UserTranscript, lambda event: event.is_final):
                await on.listener.until(UserTranscript, lambda event: event.is_final)
            expect(on.vendor.heard == sent, "what the vendor keeps is not what was sent after the clear")
            expect(not on.listener.happened(SpeechStarted), "speech was detected although turns are made by hand")

    async def test_instructions_are_updated(self) -> None:
        """A new system prompt holds from the next answer on."""
        async with self.playing(Scene(answers=[[Say("Bore da.")]])) as on:
            await on.session.update_instructions("Speak Welsh.")
            await on.session.send_text("Hello.")
            complete(await on.listener.answer(), "Bore da.")
            expect(on.vendor.instructions == "Speak Welsh.", f"the vendor was told {on.vendor.instructions!r}")
