"""One conversation over as many sessions as it takes, of whichever providers can."""

from collections.abc import Callable
from typing import Any

import anyio.abc

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.errors import LocalProtocolError, SessionClosed
from trunkline.realtime import events
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeSession
from trunkline.realtime.reconnect.candidates import Candidates
from trunkline.realtime.reconnect.policy import SessionPolicy
from trunkline.realtime.reconnect.supervisor import Supervisor
from trunkline.realtime.reconnect.turn_state import ResponseRequest
from trunkline.realtime.reconnect.uplink import Command
from trunkline.tools.results import result_text


class ReconnectingSession:
    """One conversation; made by `RealtimeClient.connect`.

    As with every session you must iterate over it, and may call the other methods from any task. They neither fail nor wait because a
    provider's session is being replaced: what they do is kept for the next one. `SessionEnded.reason` is "closed" (by this side) or
    "failed". The methods raise what `trunkline.realtime.provider.RealtimeSession` says.

    `SessionRotated.reason` is "limit" (replaced in time), "reconnect" (it broke), "frozen" (it said nothing where it had to) or "failing"
    (its answers failed). All but the first come after an `ErrorReported` that is not fatal, and after a `ResponseFinished` with status
    "failed" if an answer was cut. Ids of items, responses and calls are the vendor's; the audio times of speech count from the beginning
    of the conversation.

    Formats: the next session may have others. `input_format`, and with it what `send_audio` takes, changes when you read
    `SessionRotated`, not before: audio that you send until then is taken as the format before, whichever session it reaches, and is
    converted for it, once. So from reading the event on you must send audio of its `input_format`. `AudioReceived` that comes before
    the event has the output format before, what comes after it the event's.
    """

    def __init__(
        self,
        candidates: Candidates,
        config: ProcessConfig,
        policy: SessionPolicy,
        *,
        tasks: anyio.abc.TaskGroup,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._supervisor = Supervisor(candidates, config, policy, tasks=tasks, clock=clock)
        self._events = self._supervisor.events

    async def open(self) -> None:
        """Open the first session; you must call it before anything else, once.

        Raises:
            ProviderError: No session could be opened; the class says why.
            InvalidConfig: The configuration asks for what a provider does not have.
        """
        task = await self._supervisor.begin()
        self._state = self._supervisor.state
        self._uplink = self._supervisor.uplink
        self._capabilities = task.session.capabilities
        self._input_format = task.session.input_format
        self._output_format = task.session.output_format

    @property
    def capabilities(self) -> Capabilities:
        """What the present session can do; while there is none, what the one before could."""
        if self._uplink.task is not None:
            self._capabilities = self._uplink.task.session.capabilities
        return self._capabilities

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes; it changes when `SessionRotated` is read."""
        return self._input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`; it changes when `SessionRotated` is read."""
        return self._output_format

    @property
    def ending_at(self) -> float | None:
        """None: the conversation does not end with a vendor's session."""
        return None

    @property
    def dropped_bytes(self) -> int:
        """The caller's audio that no session was given, as replacing one took longer than there is room for."""
        return self._state.replay.dropped_bytes

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "ReconnectingSession":
        return self

    async def __anext__(self) -> events.SessionEvent:
        event = await self._events.get()
        if type(event) is events.SessionRotated:
            self._output_format = event.output_format
            if event.input_format != self._input_format:
                self._input_format = event.input_format
                self._state.use_input(event.input_format)
        return event

    # ── the user's audio ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`; it is part of the conversation even if you are cancelled."""
        if self._events.is_over:
            raise SessionClosed
        if self._state.turns.user_speaks:
            self._supervisor.hear_user(audio)
        else:
            self._state.replay.add(audio)  # all that is done for most frames, and fifty times a second
        await self._uplink.send_audio()

    async def commit_audio(self) -> None:
        """End the user's turn; with `Capabilities.commit` only."""
        self._check_open(needs="commit")
        self._state.replay.commit()
        await self._uplink.send_audio()

    async def clear_audio(self) -> None:
        """Drop the user's audio that was not committed; with `Capabilities.clear` only."""
        await self._command(self._state.replay.clear, lambda session: session.clear_audio(), needs="clear", keep=False)

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""
        await self._command(lambda: self._state.write(text, self._clock.now()), lambda session: session.send_text(text))

    async def say(self, text: str) -> None:
        """Let the agent speak exactly this sentence."""
        await self._request(ResponseRequest(sentence=text), lambda session: session.say(text))

    async def create_response(self, instructions: str | None = None) -> None:
        """Ask for an answer; `instructions` hold for it alone, with `Capabilities.response_instructions` only."""
        needs = "" if instructions is None else "response_instructions"
        await self._request(
            ResponseRequest(instructions), lambda session: session.create_response(instructions), needs=needs
        )

    async def cancel_response(self) -> None:
        """Stop the running answer; with `Capabilities.cancel` only. While there is no session, what was asked for is not wanted."""
        keep = self._uplink.has_kept  # a text that waits for the next session will be answered there
        await self._command(
            self._state.turns.cancel, lambda session: session.cancel_response(), needs="cancel", keep=keep
        )

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of an item to the first `heard_ms` milliseconds; with `Capabilities.truncate` only.

        An item of a session that was replaced is cut in what the sessions to come are told; the present one has been told all of it.
        """
        await self._command(
            lambda: self._state.truncate(item_id, heard_ms),
            lambda session: session.truncate(item_id, heard_ms=heard_ms),
            needs="truncate",
            keep=False,
        )

    async def send_tool_result(self, call_id: str, result: Any) -> None:
        """Answer a tool call, once, in whichever session there is by then.

        Where that session did not make the call and knows no calls of others (`Capabilities.seeds_tool_calls`), the result reaches the
        model as text.
        """
        text = result_text("result", result)

        async def send(session: RealtimeSession) -> None:
            if session.capabilities.seeds_tool_calls or self._state.is_call_of_session(call_id):
                await session.send_tool_result(call_id, text)
            else:
                await session.send_text(f"The result of the tool call {call_id}: {text}")

        await self._command(lambda: self._state.answer_call(call_id, text, self._clock.now()), send)

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on."""
        await self._command(
            lambda: self._supervisor.instruct(instructions), lambda session: session.update_instructions(instructions)
        )

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. Iterating then gives `SessionEnded("closed")`."""
        await self._supervisor.aclose()

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _request(self, request: ResponseRequest, send: Command, *, needs: str = "") -> None:
        """Ask for an answer; while there is no session, the next one is asked by what the state says is due."""
        await self._command(
            lambda: self._state.turns.request(request, self._clock.now()), send, needs=needs, keep=False
        )

    async def _command(
        self, note: Callable[[], bool | None], send: Command, *, needs: str = "", keep: bool = True
    ) -> None:
        """Note what a command means for the sessions to come, then give it to the present one.

        Args:
            note: Changes the state; False if the present session need not know.
            send: Gives it to a session.
            needs: The capability without which it is refused.
            keep: Whether a session that takes over must be given it if there is none now; not if the state alone tells it.
        """
        self._check_open(needs)
        is_wanted = note()
        self._state.revision += 1
        self._supervisor.wake()
        if is_wanted is not False:
            await self._uplink.send(send, keep=keep)

    def _check_open(self, needs: str = "") -> None:
        if self._events.is_over:
            raise SessionClosed
        if needs and not getattr(self.capabilities, needs):
            raise LocalProtocolError(f"the session cannot do so: it lacks the capability {needs!r}")
