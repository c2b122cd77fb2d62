"""Commands of a session: audio of any length, sentences that are spoken as they are, ids, and what holds after the end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import anyio

from trunkline.audio import AudioFormat
from trunkline.errors import LocalProtocolError, SessionClosed
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.provider import ProcessConfig, RealtimeSession
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.suites.realtime_checks import Played, RealtimeChecks, with_capability
from trunkline.testing.suites.realtime_listener import complete, expect
from trunkline.testing.suites.realtime_stage import Scene, Turn
from trunkline.testing.suites.realtime_tools import TOOLS

_ODD_PIECE = 333
_GREETING = "Good evening."
_FILLER = "One moment, please."


class Commands(RealtimeChecks):
    """What the methods of a session promise, besides the turns themselves."""

    async def test_audio_of_odd_lengths(self) -> None:
        """Audio may be cut anywhere, also inside a sample, and in pieces of a single byte or none."""
        async with self.playing(Scene(transcripts=["hello"], answers=[[Say("Good day.")]])) as on:
            sent = await self.speak(on.session, piece=_ODD_PIECE)
            for piece in (b"", b"\0", b"\0"):
                await on.session.send_audio(piece)
                sent += piece
            await self.end_turn(on.session)
            complete(await on.listener.answer(), "Good day.")
            await self.arrived(on.vendor, sent)

    async def test_every_id_belongs_to_one_thing(self) -> None:
        """Each answer, each item of it and each turn of the user has an id of its own, and their events name it."""
        async with self.playing(Scene(transcripts=["one", "two"], answers=[[Say("First.")], [Say("Second.")]])) as on:
            for words in ("First.", "Second."):
                await self.speak(on.session)
                await self.end_turn(on.session)
                complete(await on.listener.answer(), words)
            finals = [event for event in on.listener.events if isinstance(event, UserTranscript) and event.is_final]
            while len(finals) < 2:
                finals.append(await on.listener.until(UserTranscript, lambda event: event.is_final))
            _check_ids(on, [event.item_id for event in finals])

    async def test_a_given_sentence_is_spoken(self) -> None:
        """`say` speaks the sentence as it is, and the model knows of it afterwards."""
        known: list[str | None] = []

        def answer(history: Sequence[Heard]) -> Turn:
            known[:] = [line.text for line in history]
            return [Say("Yes.")] if "Are you there?" in known else [Say(_GREETING)]

        async with self.playing(Scene(answers=answer)) as on:
            await on.session.say(_GREETING)
            complete(await on.listener.answer(), _GREETING)
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")
            expect(any(_GREETING in (text or "") for text in known), f"the model knows only {known}")

    @with_capability("speaks_during_calls")
    async def test_a_given_sentence_does_not_wait_for_tools(self) -> None:
        """`say` speaks while a tool call is open, and the call is answered afterwards."""
        asked: list[object] = []

        def answer(history: Sequence[Heard]) -> Turn:
            if any(line.role == "tool" for line in history):
                return [Say("It rains.")]
            asked.append(history)
            return [Say(_FILLER)] if len(asked) > 1 else [CallTool("weather", {"city": "Cardiff"})]

        async with self.playing(Scene(answers=answer), ProcessConfig(functions=TOOLS)) as on:
            await on.session.send_text("How is the weather?")
            call = await on.listener.until(ToolCallRequested)
            await on.listener.until(ResponseFinished)
            await on.session.say(_FILLER)
            complete(await on.listener.answer(), _FILLER)
            await on.session.send_tool_result(call.call_id, "rain")
            complete(await on.listener.answer(), "It rains.")

    async def test_a_session_that_must_not_interrupt_says_so(self) -> None:
        """With `allow_interruption=False` the session says `interrupts_itself=False`, so that others know whose task it is."""
        async with self.playing(Scene(), ProcessConfig(allow_interruption=False)) as on:
            expect(not on.session.capabilities.interrupts_itself, "interrupts_itself is True")

    async def test_what_the_vendor_cannot_do_is_refused(self) -> None:
        """A command without its capability raises `LocalProtocolError`, and the session goes on."""
        async with self.playing(Scene(answers=[[Say("Yes.")]])) as on:
            for name, command in _commands_with_capability(on.session).items():
                if getattr(on.session.capabilities, name):
                    continue
                try:
                    await command()
                except LocalProtocolError:
                    continue
                raise AssertionError(f"{name} is False, so LocalProtocolError must be raised")
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")

    async def test_every_command_is_refused_after_the_end(self) -> None:
        """`SessionClosed` is raised by each of them, and closing again is harmless."""
        async with self.playing(Scene()) as on:
            await on.session.aclose()
            await on.listener.end()
            able = on.session.capabilities
            commands: list[Callable[[], Awaitable[None]]] = [
                lambda: on.session.send_audio(bytes(2)),
                lambda: on.session.send_text("Hello?"),
                lambda: on.session.say("Hello."),
                on.session.create_response,
                lambda: on.session.send_tool_result("call", "rain"),
                lambda: on.session.update_instructions("Be brief."),
                *(command for name, command in _commands_with_capability(on.session).items() if getattr(able, name)),
            ]
            for place, command in enumerate(commands):
                try:
                    await command()
                except SessionClosed:
                    continue
                raise AssertionError(f"after the end SessionClosed must be raised; command {place} was taken")
            await on.session.aclose()

    async def test_closing_the_provider_leaves_its_sessions(self) -> None:
        """`aclose` of the provider, twice; a session that is open goes on."""
        async with self.playing(Scene(answers=[[Say("Yes.")]])) as on:
            await on.vendor.provider.aclose()
            await on.vendor.provider.aclose()
            await on.session.send_text("Are you there?")
            complete(await on.listener.answer(), "Yes.")

    @with_capability("answers_turns")
    async def test_a_session_as_two_streams(self) -> None:
        """`process_audio_stream` takes the user's audio, and gives the answer and the words of both sides."""
        answered = anyio.Event()

        async def microphone() -> AsyncIterator[bytes]:
            yield self.spoken(AudioFormat("linear16", self.capabilities.input_rate))
            await answered.wait()

        scene = Scene(transcripts=["hello there"], answers=[[Say("Good day.")]])
        with anyio.fail_after(self.patience):
            async with self.vendor(scene) as vendor, vendor.provider.process_audio_stream(microphone()) as stream:
                heard = b""
                async for chunk in stream.audio:
                    heard += chunk.data
                    if chunk.is_final:
                        break
                expect(heard, "the answer has no audio")
                words = []
                async for line in stream.transcripts:
                    words += [(line.role, line.text)] if line.is_final else []
                    if len(words) == 2:
                        break
                answered.set()
        expect(sorted(words) == [("agent", "Good day."), ("user", "hello there")], f"the words are {words}")


def _commands_with_capability(session: RealtimeSession) -> dict[str, Callable[[], Awaitable[None]]]:
    return {
        "commit": session.commit_audio,
        "clear": session.clear_audio,
        "cancel": session.cancel_response,
        "truncate": lambda: session.truncate("item", heard_ms=0),
        "response_instructions": lambda: session.create_response("Be brief."),
    }


def _check_ids(on: Played, turns: Sequence[str]) -> None:
    """The ids of two spoken turns and their answers."""
    events = on.listener.events
    answers = [event.response_id for event in events if isinstance(event, ResponseStarted)]
    expect(len(set(answers)) == 2, f"two answers need two ids, they have {answers}")
    items = {(event.response_id, event.item_id) for event in events if isinstance(event, AudioReceived)}
    expect({response for response, _ in items} == set(answers), f"audio names other answers: {items}")
    expect(len({item for _, item in items}) == len(items), f"items of two answers have the same id: {items}")
    worded = {(event.response_id, event.item_id) for event in events if isinstance(event, AgentTranscript)}
    expect(worded <= items, f"words name other items than the audio: {worded - items}")
    expect(len(set(turns)) == len(turns), f"two turns of the user have the same id: {turns}")
    spoken = {event.item_id for event in events if isinstance(event, SpeechStarted | SpeechStopped)}
    expect(spoken <= set(turns), f"speech is told of items that never got words: {spoken - set(turns)}")
