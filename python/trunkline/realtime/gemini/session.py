"""One conversation with a Gemini Live model."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import LocalProtocolError, RemoteProtocolError, SessionClosed, TransportError
from trunkline.realtime import events
from trunkline.realtime.error_map import ConnectionErrors
from trunkline.realtime.gemini.inbound import OUTPUT, Inbound
from trunkline.realtime.gemini.requests import Request, Requests, words
from trunkline.realtime.provider import Capabilities
from trunkline.tools.results import result_text
from trunkline.transport import MessageStream
from trunkline.wire.realtime.gemini import commands as command
from trunkline.wire.realtime.gemini.decode import VENDOR, parse
from trunkline.wire.realtime.gemini.errors import SESSION_EXPIRED

log = logging.getLogger(__name__)

ANSWER_WITHIN = 5.0
"""Seconds that the model has to begin an answer that was asked for before requests that waited for it are sent; it may keep silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTerms:
    """What was agreed when the session was set up.

    Attributes:
        capabilities: What the session can do.
        input_format: What the user's audio is.
        by_hand: The user's turns are ended with `commit_audio`.
        speaks: The model answers in audio.
        as_activity: Texts are sent as the user's activity (`realtimeInput`) instead of as turns (`clientContent`).
    """

    capabilities: Capabilities
    input_format: AudioFormat
    by_hand: bool = False
    speaks: bool = True
    as_activity: bool = False


class GeminiRealtimeSession:
    """One conversation; made by `GeminiRealtimeProvider.connect`.

    You must iterate over it until it ends: that reads the socket, and sends the texts that had to wait. One task may iterate; the other
    methods may be called from any. `SessionEnded.reason` is "closed" (by this side), "closed_by_vendor", "session_expired" or "failed".

    Args:
        stream: Messages to and from the vendor, with the session already set up.
        ready: The first event.
        terms: What was agreed.
        errors: Makes errors of what goes wrong.
        clock: Where time comes from.
    """

    def __init__(
        self,
        stream: MessageStream,
        ready: events.SessionReady,
        terms: SessionTerms,
        *,
        errors: ConnectionErrors,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._stream = stream
        self._terms = terms
        self._errors = errors
        self._clock = clock
        self._inbound = Inbound(ready, speaks=terms.speaks, errors=errors, clock=clock)
        self._requests = Requests(self._inbound, during_calls=terms.capabilities.speaks_during_calls)
        self._rate = terms.input_format.sample_rate
        self._half_sample = b""
        self._user_is_active = False
        self._reading = anyio.CancelScope()
        self._answer_by: float | None = None
        self._closing = False

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""
        return self._terms.capabilities

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes; the vendor confirms nothing."""
        return self._terms.input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`; what comes at another rate is converted."""
        return OUTPUT

    @property
    def ending_at(self) -> float | None:
        """When the vendor will end this session, in seconds of the provider's clock; None until it says so."""
        return self._inbound.ending_at

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "GeminiRealtimeSession":
        return self

    async def __anext__(self) -> events.SessionEvent:
        queue = self._inbound.queue
        while not queue:
            if self._inbound.is_over:
                raise StopAsyncIteration
            await self._read()
        return queue.popleft()

    async def _read(self) -> None:
        try:
            message = await self._receive()
        except (TransportError, RemoteProtocolError) as error:
            self._lost(error)
            return
        if message is not None:
            self.take(message)
        with suppress(SessionClosed):  # the next read says why
            await self._send_requests()

    def take(self, message: str | bytes) -> None:
        """Take a message of the vendor's."""
        try:
            for event in parse(message):
                self._inbound.take(event)
        except RemoteProtocolError as error:
            self._inbound.queue.append(events.ErrorReported(self._errors.malformed(error)))

    async def _receive(self) -> str | bytes | None:
        """The next message; None when it is time to look at the requests."""
        with anyio.CancelScope() as self._reading:
            if not self._requests.wait_for_answer:
                self._answer_by = None
                return await self._stream.receive()
            now = self._clock.now()
            if self._answer_by is None:
                self._answer_by = now + ANSWER_WITHIN
            with self._clock.move_on_after(max(0.0, self._answer_by - now)):
                return await self._stream.receive()
            self._inbound.answer_due = False
        return None

    # ── audio ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`.

        Raises:
            SessionClosed: The session is over, or its connection is lost and the events will say why; so for all methods.
        """
        if self._half_sample:
            audio, self._half_sample = self._half_sample + audio, b""
        if len(audio) % 2:
            audio, self._half_sample = audio[:-1], audio[-1:]
        if self._terms.by_hand and audio and not self._user_is_active:
            await self._send(command.begin_activity())
            self._user_is_active = True
        if len(audio) <= command.MAX_AUDIO_BYTES:
            if audio:
                await self._send(command.send_audio(audio, self._rate))
            else:
                self._check_open()
            return
        for start in range(0, len(audio), command.MAX_AUDIO_BYTES):
            await self._send(command.send_audio(audio[start : start + command.MAX_AUDIO_BYTES], self._rate))

    async def commit_audio(self) -> None:
        """End the user's turn by hand, which the vendor answers; only with its own detection off. Without any audio there is no turn.

        Raises:
            LocalProtocolError: The vendor detects turns by itself, and closes the session for it.
        """
        self._check_open()
        if not self._terms.by_hand:
            raise LocalProtocolError("the vendor ends the user's turns by itself; connect with turn_detection=None")
        if self._user_is_active:
            await self._send(command.end_activity())
            self._user_is_active = False
            self._inbound.answer_due = True
            self._half_sample = b""

    async def clear_audio(self) -> None:
        """Not there: audio is with the model as soon as it is sent.

        Raises:
            LocalProtocolError: Always.
        """
        self._refuse("drop the user's audio")

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer; kept until no answer is running and all tool calls are answered."""
        await self._ask(Request(text))

    async def say(self, text: str) -> None:
        """Let the agent speak exactly this sentence, as soon as no answer runs; where the model waits for tools, once they are done."""
        await self._ask(Request(text, is_sentence=True))

    async def create_response(self, instructions: str | None = None) -> None:
        """Ask for an answer, in words, as soon as none is running and all tool calls are answered.

        Raises:
            LocalProtocolError: There are instructions, and the protocol has none for one answer.
        """
        self._check_open()
        if instructions is not None:
            raise LocalProtocolError("the vendor takes no instructions for one answer")
        await self._ask(Request())

    async def cancel_response(self) -> None:
        """Not there: only the user's activity stops an answer.

        Raises:
            LocalProtocolError: Always.
        """
        self._refuse("stop an answer")

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:  # noqa: ARG002 - as every session's
        """Not there: the model remembers all that it has said.

        Raises:
            LocalProtocolError: Always.
        """
        self._refuse("cut an answer in the model's memory")

    async def _ask(self, request: Request) -> None:
        self._check_open()
        self._requests.add(request)
        self._inbound.conversation_changed()
        if self._requests.wait_for_answer:
            self._reading.cancel()  # whoever reads has to wait for it with a deadline from now on
        await self._send_requests()

    async def _send_requests(self) -> None:
        """Ask for what may be asked for now."""
        taken = self._requests.take()
        if not taken:
            return
        self._inbound.answer_due = True
        texts = words(taken)
        try:
            if self._terms.as_activity:
                await self._send(command.send_text("\n".join(texts)))
            else:
                await self._send(command.add_turns([command.content("user", *texts)], complete=True))
        except BaseException:
            self._inbound.answer_due = False
            self._requests.put_back(taken)
            raise

    # ── tools and the session ────────────────────────────────────────────────────────────────────────────────────────

    async def send_tool_result(
        self,
        call_id: str,
        result: Any,
        *,
        scheduling: command.Scheduling | None = None,
        will_continue: bool = False,
    ) -> None:
        """Answer a tool call; the model goes on when all calls of its answer have their results. One for a call taken back is dropped.

        Args:
            call_id: The id of `ToolCallRequested`.
            result: Text as it is, anything else as JSON: what `json` takes, pydantic models and dataclasses.
            scheduling: When a model that does not wait for its tools takes the result in; unless given, without a word while other
                calls of the same answer are open, and with the last one when it is silent.
            will_continue: Further results of the call follow; of such a model, too.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before; or the model waits for its tools, and so cannot be told
                when to take a result in.
            ToolError: The result cannot be made JSON; nothing was sent.
        """
        self._check_open()
        name = self._inbound.tool(call_id)
        if name is None:
            return
        text = result_text(name, result)
        waits = not self._terms.capabilities.speaks_during_calls
        if waits and (scheduling is not None or will_continue):
            raise LocalProtocolError("this model waits for its tools: scheduling and will_continue mean nothing to it")
        if not waits and scheduling is None and (will_continue or not self._inbound.is_last(call_id)):
            scheduling = "SILENT"
        message = command.answer_call(
            call_id,
            name,
            command.response_object(text),
            scheduling=scheduling,
            will_continue=True if will_continue else None,
        )
        answered = self._inbound.begin_answer(call_id, stays_open=will_continue)
        brings_answer = answered.is_last and scheduling != "SILENT"
        self._inbound.answer_due |= brings_answer
        try:
            await self._send(message)
        except BaseException:
            self._inbound.withdraw_answer(call_id, answered)
            if brings_answer:
                self._inbound.answer_due = False
            raise
        self._inbound.conversation_changed()

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on; the vendor does not confirm it.

        Raises:
            LocalProtocolError: The model is of a time when it could not be changed.
        """
        self._check_open()
        if not self._terms.capabilities.update_instructions:
            self._refuse("change the instructions of an open session")
        await self._send(command.update_instructions(instructions))

    async def seed(self, turns: Sequence[Mapping[str, Any]], *, complete: bool) -> None:
        """Tell the model what went before.

        Raises:
            TransportError: The connection broke.
        """
        await self._stream.send(command.add_turns(turns, complete=complete))

    def _refuse(self, what: str) -> None:
        self._check_open()
        raise LocalProtocolError(f"the vendor cannot {what}")

    async def _send(self, message: str) -> None:
        self._check_open()
        try:
            await self._stream.send(message)
        except TransportError as error:
            cause = self._errors.redacted(error)
        else:
            return
        raise SessionClosed(vendor=VENDOR) from cause

    def _check_open(self) -> None:
        if self._inbound.is_over or self._closing:
            raise SessionClosed(vendor=VENDOR)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. Iterating then gives `SessionEnded("closed")`."""
        self._closing = True
        await self._stream.aclose()

    def _lost(self, cause: TransportError | RemoteProtocolError) -> None:
        if self._closing:
            self._inbound.finish("closed")
            return
        error = self._errors.ended(cause)
        if error is None:
            self._inbound.finish("closed_by_vendor")
        else:
            self._inbound.finish(SESSION_EXPIRED if error.code == SESSION_EXPIRED else "failed", error)
