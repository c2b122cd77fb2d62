"""A session with OpenAI's Realtime API: vendor events in, session events out, commands on the same socket."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from anyio import CancelScope

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import HistoryItem, pending_calls
from trunkline.errors import InvalidConfig, LocalProtocolError, RemoteProtocolError, SessionClosed, TransportError
from trunkline.realtime import events
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.realtime.openai.inbound import Inbound
from trunkline.realtime.provider import Capabilities
from trunkline.tools.results import result_text
from trunkline.transport import MessageStream
from trunkline.wire.realtime.flat_session import FlatShape
from trunkline.wire.realtime.openai import commands as command
from trunkline.wire.realtime.openai.decode import parse
from trunkline.wire.realtime.openai.events import ServerEvent
from trunkline.wire.realtime.openai.schema import check_response, check_session
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU, SessionInfo

log = logging.getLogger(__name__)

CAPABILITIES = Capabilities(
    input_rate=PCM.sample_rate,
    output_rate=PCM.sample_rate,
    native_formats=(PCMU, PCMA),
    reports_speech=True,
    commit=True,
    clear=True,
    cancel=True,
    truncate=True,
    response_instructions=True,
    seeds_tool_calls=True,
    interrupts_itself=True,
    answers_turns=True,
)
"""What a session can do at best."""

ANSWER_WITHIN = 5.0
"""Seconds that the vendor has to begin its own answer to the user's turn before requests that waited for it are sent."""

FLAT = FlatShape()

SAY = "Say the text between <say> and </say> word for word, in its own language, and nothing else.\n<say>{text}</say>"
"""Instructions for `say`; between marks that no sentence has, so that quotes in the text are no harm."""


class OpenAIRealtimeSession:
    """One conversation; made by `OpenAIRealtimeProvider.connect`.

    You must iterate over it until it ends: that reads the socket, and sends the requests for responses that had to wait. One task may
    iterate; the other methods may be called from any. `SessionEnded.reason` is "closed" (by this side), "closed_by_vendor",
    "session_expired" or "failed".

    Args:
        stream: Messages to and from the vendor, with the session already configured.
        info: What the vendor said the session is.
        transcribe_output: Whether the answer's words are passed on.
        errors: Makes errors of what goes wrong.
        clock: Where time comes from.
        limit: Seconds after which the vendor ends every session, where it is known; what the vendor says itself goes before.
    """

    _parse: Callable[[str | bytes], ServerEvent] = staticmethod(parse)
    _make_inbound = Inbound

    def __init__(
        self,
        stream: MessageStream,
        info: SessionInfo,
        *,
        transcribe_output: bool = True,
        errors: ErrorMap | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limit: float | None = None,
    ) -> None:
        self._stream = stream
        self._errors = errors or ErrorMap()
        self._clock = clock
        self._inbound = self._make_inbound(
            info, transcribe_output=transcribe_output, errors=self._errors, clock=clock, limit=limit
        )
        self._responses = self._inbound.responses
        self._answer_by: float | None = None
        self._waiting: CancelScope | None = None
        self._closing = False

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do, by what the vendor last said of its turn detection."""
        info = self._inbound.info
        return replace(
            CAPABILITIES,
            reports_speech=info.detects_turns,
            commit=not info.detects_turns,
            interrupts_itself=info.interrupts,
            answers_turns=info.answers_turns,
        )

    @property
    def instructions(self) -> str:
        """The system prompt, as the vendor last confirmed it; an update shows here once the vendor has taken it."""
        return self._inbound.info.instructions

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes, as the vendor confirmed it."""
        return self._inbound.info.input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`, as the vendor confirmed it."""
        return self._inbound.info.output_format

    @property
    def ending_at(self) -> float | None:
        """When the vendor will end this session, in seconds of the provider's clock; None where it does not say."""
        return self._inbound.ending_at

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "OpenAIRealtimeSession":
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
        if message is None:
            await self._overdue()
        else:
            try:
                self._inbound.take(self._parse(message))
            except RemoteProtocolError as error:
                self._inbound.queue.append(events.ErrorReported(self._errors.malformed(error)))
        if self._responses.is_due:
            with suppress(SessionClosed):  # the next read says why
                await self._request_response()

    async def _receive(self) -> str | bytes | None:
        """The next message; None where none came before something was overdue."""
        moment = self._overdue_at()
        if moment is None:
            return await self._stream.receive()
        with self._clock.move_on_after(max(0.0, moment - self._clock.now())) as self._waiting:
            return await self._stream.receive()
        return None

    def _overdue_at(self) -> float | None:
        """When to give up waiting for the vendor's answer to the user's turn; None while none is awaited."""
        if not self._responses.vendor_answers:
            self._answer_by = None
        elif self._answer_by is None:
            self._answer_by = self._clock.now() + ANSWER_WITHIN
        return self._answer_by

    async def _overdue(self) -> None:
        """The vendor did not begin the answer that requests are waiting for."""
        self._responses.vendor_is_silent()

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def seed(self, history: Sequence[HistoryItem]) -> None:
        """Tell the model what went before; calls without a result may be answered as if they had been requested here.

        Raises:
            TransportError: The connection broke.
        """
        for entry in history:
            await self._stream.send(self._create_item(command.history_item(entry)))
            if entry.role in {"user", "system", "tool_result"}:
                self._responses.item_sent()
        self._responses.carry_over(pending_calls(history))

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`.

        Raises:
            SessionClosed: The session is over, or its connection is lost and the events will say why; so for all methods.
        """
        for start in range(0, len(audio), command.MAX_APPEND_BYTES):
            await self._send(command.append_audio(audio[start : start + command.MAX_APPEND_BYTES]))

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer as soon as none is running."""
        await self._send(self._create_item(command.message_item("user", text)))
        self._responses.item_sent()
        await self._want_response()

    async def say(self, text: str) -> None:
        """Let the agent speak exactly this sentence, as soon as no answer runs and the user does not speak; tool calls do not matter."""
        self._check_open()
        fields = {"instructions": SAY.format(text=text), "tool_choice": "none"}
        self._responses.request(fields, during_tools=True)
        await self._request_response()

    async def commit_audio(self) -> None:
        """End the user's turn by hand; only with the vendor's turn detection off. It asks for no answer.

        Raises:
            LocalProtocolError: The vendor detects turns by itself; two commits of the same words would be two turns.
        """
        self._check_open()
        if self._inbound.info.detects_turns:
            raise LocalProtocolError("the vendor ends the user's turns by itself; connect with turn_detection=None")
        await self._send(command.commit_audio())

    async def clear_audio(self) -> None:
        """Drop the user's audio that was not committed."""
        await self._send(command.clear_audio())

    async def create_response(
        self, instructions: str | None = None, *, options: Mapping[str, Any] | None = None
    ) -> None:
        """Ask for an answer, as soon as none is running, the user does not speak and all tool calls are answered.

        Args:
            instructions: What holds for this answer alone, in place of the session's.
            options: Further fields of `response.create` that go before the session's, this once: `output_modalities`, `tools`,
                `tool_choice`, `max_output_tokens`, `conversation`, `input`, `metadata` and the rest (GA, "response.create").

        Raises:
            InvalidConfig: There is no such field, or its value cannot be sent.
        """
        self._check_open()
        fields = dict(options or {})
        if instructions is not None:
            fields["instructions"] = instructions
        check_response(fields, flat=self._is_flat)
        _refuse_formats(fields, "response")
        if self._is_flat:
            FLAT.response(fields)  # refused here, not where it is sent once its time has come
        await self._want_response(fields)

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        self._check_open()
        response_id = self._responses.cancel()
        if response_id is not None:
            await self._send(command.cancel_response(self._inbound.ids.server_response(response_id) or None))

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of a part of its answer to the first `heard_ms` milliseconds, or to what was received if that is less.

        A part of which no audio was received is left alone: there is nothing to forget.
        """
        self._check_open()
        part = self._inbound.part(item_id)
        if part is None or not part.item_id:
            log.debug(
                "nothing to truncate: no audio was received of item %s, or the vendor has no name for it", item_id
            )
            return
        received_ms = int(self.output_format.duration_ms(part.received_bytes))
        audio_end_ms = max(0, min(heard_ms, received_ms))
        await self._send(
            command.truncate_item(part.item_id, content_index=part.content_index, audio_end_ms=audio_end_ms)
        )

    async def send_tool_result(self, call_id: str, result: Any) -> None:
        """Answer a tool call, once; the model goes on when all calls of its answer have their results.

        Args:
            call_id: The id of `ToolCallRequested`.
            result: Text as it is, anything else as JSON: what `json` takes, pydantic models and dataclasses.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
            ToolError: The result cannot be made JSON; nothing was sent.
        """
        self._check_open()
        text = result_text(self._inbound.tool(call_id), result)
        self._responses.begin_answer(call_id)
        try:
            await self._send(self._create_item(command.function_output_item(call_id, text)))
        except BaseException:
            self._responses.withdraw_answer(call_id)
            raise
        self._responses.finish_answer(call_id)
        await self._request_response()

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on; `instructions` shows it once the vendor has taken it."""
        await self.update_session({"instructions": instructions})

    async def update_session(self, changes: Mapping[str, Any]) -> None:
        """Change what `changes` holds of the vendor's session object, from now on; a refusal comes as `ErrorReported` and changes nothing.

        Raises:
            InvalidConfig: There is no such field, or its value cannot be sent; the formats are settled when connecting.
        """
        self._check_open()
        session = {"type": "realtime", **changes}
        check_session(session, flat=self._is_flat)
        _refuse_formats(session, "session")
        await self._send(command.update_session(FLAT.session(session) if self._is_flat else session))

    @property
    def _is_flat(self) -> bool:
        return self._inbound.info.is_flat

    def _create_item(self, item: Mapping[str, Any]) -> str:
        return command.create_item(FLAT.item(item) if self._is_flat else item)

    async def _want_response(self, fields: Mapping[str, Any] | None = None) -> None:
        self._responses.request(fields)
        await self._request_response()

    async def _request_response(self) -> None:
        """Ask for the next response, if its time has come."""
        request = self._responses.next_request()
        if request is None:
            return
        fields = FLAT.response(request.fields) if self._is_flat else request.fields
        try:
            await self._send(command.create_response(fields or None, event_id=request.event_id))
        except BaseException:
            self._responses.not_sent(request)
            raise

    async def _send(self, message: str) -> None:
        self._check_open()
        try:
            await self._stream.send(message)
        except TransportError as error:
            cause = self._errors.redacted(error)
        else:
            return
        raise SessionClosed(vendor=self._errors.wire.VENDOR) from cause

    def _check_open(self) -> None:
        if self._inbound.is_over or self._closing:
            raise SessionClosed(vendor=self._errors.wire.VENDOR)

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
            code = error.code or ""
            self._inbound.finish(code if code in self._errors.wire.ENDINGS else "failed", error)


def _refuse_formats(fields: Mapping[str, Any], where: str) -> None:
    for side in ("input", "output"):
        if "format" in fields.get("audio", {}).get(side, {}):
            raise InvalidConfig(f"{where}.audio.{side}.format", "is settled when connecting")
