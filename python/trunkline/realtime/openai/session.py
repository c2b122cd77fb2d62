"""A session with OpenAI's Realtime API: vendor events in, session events out, commands on the same socket."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Literal

from trunkline.audio import AudioFormat
from trunkline.conversation import HistoryItem, pending_calls
from trunkline.errors import (
    InvalidConfig,
    LocalProtocolError,
    ProviderError,
    RemoteProtocolError,
    SessionClosed,
    TransportError,
)
from trunkline.realtime import events
from trunkline.realtime.openai.errors import Failures
from trunkline.realtime.openai.responses import ResponseArbiter
from trunkline.realtime.provider import Capabilities
from trunkline.transport import MessageStream
from trunkline.wire.realtime.flat_session import to_beta
from trunkline.wire.realtime.openai import commands as command
from trunkline.wire.realtime.openai import events as vendor
from trunkline.wire.realtime.openai.decode import parse
from trunkline.wire.realtime.openai.errors import ACTIVE_RESPONSE, SESSION_EXPIRED, is_benign
from trunkline.wire.realtime.openai.schema import check_response, check_session
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU, VENDOR, SessionInfo

log = logging.getLogger(__name__)

CAPABILITIES = Capabilities(
    input_rate=PCM.sample_rate,
    output_rate=PCM.sample_rate,
    native_formats=(PCMU, PCMA),
    truncate=True,
    cancel=True,
    commit=True,
    clear=True,
    response_instructions=True,
    seeds_tool_calls=True,
    interrupts_itself=True,
)

_STATUSES: dict[str, Literal["completed", "cancelled", "incomplete", "failed"]] = {
    "completed": "completed",
    "cancelled": "cancelled",
    "incomplete": "incomplete",
    "failed": "failed",
}


class OpenAIRealtimeSession:
    """One conversation; made by `OpenAIRealtimeProvider.connect`.

    You must iterate over it until it ends: that reads the socket, and sends the responses that had to wait. One task may iterate; the other
    methods may be called from any. `SessionEnded.reason` is "closed" (by this side), "closed_by_vendor", "session_expired" or "failed".

    Args:
        stream: Messages to and from the vendor, with the session already configured.
        info: What the vendor said the session is.
        transcribe_output: Whether the answer's words are passed on.
        failures: Makes errors of what goes wrong.
    """

    def __init__(
        self,
        stream: MessageStream,
        info: SessionInfo,
        *,
        transcribe_output: bool = True,
        failures: Failures | None = None,
    ) -> None:
        self._stream = stream
        self._info = info
        self._transcribe_output = transcribe_output
        self._failures = failures or Failures()
        self._responses = ResponseArbiter()
        self._function_items: dict[str, vendor.Item] = {}
        self._arguments: dict[str, str] = {}
        self._received_bytes: dict[str, int] = {}
        self._closing = False
        self._over = False
        self._events: deque[events.SessionEvent] = deque(
            [events.SessionReady(info.session_id, info.input_format, info.output_format, info.model)]
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do, by what the vendor last said it is: `commit` and `interrupts_itself` go by its turn detection."""
        turns, interrupts = not self._info.detects_turns, self._info.interrupts
        return replace(CAPABILITIES, commit=turns, interrupts_itself=interrupts)

    @property
    def instructions(self) -> str:
        """The system prompt, as the vendor last confirmed it; an update shows here once the vendor has taken it."""
        return self._info.instructions

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes, as the vendor confirmed it."""
        return self._info.input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`, as the vendor confirmed it."""
        return self._info.output_format

    @property
    def ending_at(self) -> float | None:
        """When the vendor will end this session, in seconds of the provider's clock; None where it does not say."""
        return None

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "OpenAIRealtimeSession":
        return self

    async def __anext__(self) -> events.SessionEvent:
        while not self._events:
            if self._over:
                raise StopAsyncIteration
            await self._read()
        return self._events.popleft()

    async def _read(self) -> None:
        try:
            message = await self._stream.receive()
        except (TransportError, RemoteProtocolError) as error:
            self._lost(error)
            return
        try:
            event = parse(message)
        except RemoteProtocolError as error:
            self._events.append(events.ErrorReported(self._failures.malformed(error)))
            return
        self._take(event)
        with suppress(SessionClosed):  # the next read says why
            await self._send_wishes()

    def _take(self, event: vendor.ServerEvent) -> None:
        """Tell what an event means for this session."""
        match event:
            case vendor.AudioDelta(response_id, item_id, audio):
                if self._responses.wanted(response_id):
                    self._received_bytes[item_id] = self._received_bytes.get(item_id, 0) + len(audio)
                    self._events.append(events.AudioReceived(audio, item_id, response_id))
            case vendor.SpeechStarted(item_id, audio_start_ms):
                self._responses.user_began(interrupts=self._info.interrupts)
                self._events.append(events.SpeechStarted(item_id, audio_start_ms))
            case vendor.SpeechStopped(item_id, audio_end_ms):
                self._responses.user_stopped()
                self._events.append(events.SpeechStopped(item_id, audio_end_ms))
            case vendor.InputCommitted(item_id):
                self._responses.user_stopped()
                self._events.append(events.UserTurnCommitted(item_id))
            case vendor.InputCleared():
                self._responses.user_stopped()
            case vendor.InputTranscriptDelta(item_id, text):
                self._events.append(events.UserTranscript(text, is_final=False, item_id=item_id))
            case vendor.InputTranscriptCompleted(item_id, text):
                self._events.append(events.UserTranscript(text, is_final=True, item_id=item_id))
            case vendor.InputTranscriptFailed(_, error):
                self._events.append(events.ErrorReported(self._failures.told(error)))
            case vendor.SessionUpdated(info):
                self._info = replace(info, session_id=info.session_id or self._info.session_id, beta=self._info.beta)
            case vendor.ErrorReceived(error):
                self._take_error(error)
            case _:
                self._take_response(event)

    def _take_response(self, event: vendor.ServerEvent) -> None:
        match event:
            case vendor.ResponseCreated(response_id):
                self._responses.response_created(response_id)
                self._events.append(events.ResponseStarted(response_id))
            case vendor.OutputDelta(response_id, item_id, text):
                if self._transcribe_output and self._responses.wanted(response_id):
                    self._events.append(events.AgentTranscript(text, False, item_id, response_id))
            case vendor.OutputDone(response_id, item_id, text):
                # Also from a response that is being cancelled: the words of what was generated, which belong to what was heard.
                if self._transcribe_output and self._responses.runs(response_id):
                    self._events.append(events.AgentTranscript(text, True, item_id, response_id))
            case vendor.ItemAdded(item) | vendor.OutputItemAdded(_, item):
                if item.kind == "function_call":
                    self._function_items[item.item_id] = item
            case vendor.ArgumentsDelta(_, item_id, _, text):
                self._arguments[item_id] = self._arguments.get(item_id, "") + text
            case vendor.ArgumentsDone(response_id, item_id, call_id, name, arguments):
                known = self._function_items.get(item_id, vendor.Item(item_id, "function_call"))
                known = replace(known, call_id=call_id or known.call_id, name=name or known.name, arguments=arguments)
                if self._responses.wanted(response_id):
                    self._request_tool_of(response_id, known)
            case vendor.OutputItemDone(response_id, item):
                if item.status == "completed" and self._responses.wanted(response_id):
                    self._request_tool_of(response_id, item)
            case vendor.ResponseDone():
                self._finish_response(event)
            case _:
                log.debug("nothing to do for %s", type(event).__name__)

    def _finish_response(self, event: vendor.ResponseDone) -> None:
        status = _STATUSES.get(event.status, "failed")
        if status == "completed":
            for item in event.output:
                self._request_tool_of(event.response_id, item)
        self._function_items.clear()
        self._arguments.clear()
        self._responses.response_done(event.response_id, cancelled=status == "cancelled")
        if status == "cancelled" and event.reason == "turn_detected":
            self._events.append(events.Interrupted(event.response_id))
        usage = event.usage
        self._events.append(
            events.ResponseFinished(
                event.response_id,
                status,
                event.reason,
                events.Usage(**asdict(usage)) if usage else None,
                self._failures.told(event.error) if event.error else None,
            )
        )

    def _request_tool_of(self, response_id: str, item: vendor.Item) -> None:
        """Pass a complete call on, once.

        Where a server leaves out the name, a later event of the same call has it; where it leaves out the arguments, they are what the
        deltas gave.
        """
        if item.kind != "function_call" or not item.call_id or not item.name:
            return
        if self._responses.call_requested(item.call_id, response_id):
            arguments = item.arguments or self._arguments.get(item.item_id, "")
            self._events.append(events.ToolCallRequested(item.call_id, item.name, arguments, response_id))

    def _take_error(self, error: vendor.VendorError) -> None:
        self._responses.refused(error.caused_by, response_runs=error.code == ACTIVE_RESPONSE)
        if is_benign(error):
            log.debug("harmless error %s", error.code or error.param)
        elif error.code == SESSION_EXPIRED:
            self._finish(SESSION_EXPIRED, self._failures.told(error))
        else:
            self._events.append(events.ErrorReported(self._failures.told(error)))

    # ── what went before ─────────────────────────────────────────────────────────────────────────────────────────────

    async def seed(self, history: Sequence[HistoryItem]) -> None:
        """Tell the model what went before; calls without a result may be answered as if they had been requested here.

        Raises:
            TransportError: The connection broke.
        """
        for told in history:
            await self._stream.send(command.create_item(command.history_item(told)))
        self._responses.carry_over(pending_calls(history))

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`.

        Raises:
            SessionClosed: The session is over, or its connection is lost and the events will say why; so for all methods.
        """
        for start in range(0, len(audio), command.MAX_APPEND_BYTES):
            await self._send(command.append_audio(audio[start : start + command.MAX_APPEND_BYTES]))

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""
        await self._send(command.create_item(command.message_item("user", text)))
        await self.create_response()

    async def say(self, text: str) -> None:
        """Let the agent speak exactly this sentence."""
        await self.create_response(f"Say exactly: {text}", during_tools=True)

    async def commit_audio(self) -> None:
        """End the user's turn by hand; only with the vendor's voice activity detection off. It asks for no answer.

        Raises:
            LocalProtocolError: The vendor detects turns by itself; two commits of the same words would be two turns.
        """
        self._check_open()
        if self._info.detects_turns:
            raise LocalProtocolError("the vendor ends the user's turns by itself; connect with turn_detection=None")
        await self._send(command.commit_audio())

    async def clear_audio(self) -> None:
        """Forget the user's audio that was not committed."""
        await self._send(command.clear_audio())

    async def create_response(
        self,
        instructions: str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        during_tools: bool = False,
    ) -> None:
        """Ask for an answer, as soon as none is running.

        Args:
            instructions: What holds for this answer alone, in place of the session's.
            during_tools: Do not wait until the tool calls of the last answer have been answered.
            options: Further fields of `response.create` that go before the session's, this once: `output_modalities`, `tools`,
                `tool_choice`, `max_output_tokens`, `conversation`, `input`, `metadata` and the rest (GA, "response.create").

        Raises:
            InvalidConfig: There is no such field, or its value cannot be sent.
        """
        self._check_open()
        if options is not None:
            check_response(options, beta=self._info.beta)
            _refuse_formats(options, "response")
            if self._info.beta:
                to_beta(command.create_response(options))  # refused here, not where it is sent once its time has come
        self._responses.want(instructions, options, during_tools=during_tools)
        await self._send_wishes()

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        self._check_open()
        response_id = self._responses.cancel()
        if response_id is not None:
            await self._send(command.cancel_response(response_id or None))

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of its item to the first `heard_ms` milliseconds, or to what was received if that is less.

        An item of which no audio was received is left alone: there is nothing to forget.
        """
        self._check_open()
        received = self._received_bytes.get(item_id)
        if received is None:
            log.debug("nothing to truncate: no audio was received of item %s", item_id)
            return
        audio_end_ms = max(0, min(heard_ms, int(self.output_format.duration_ms(received))))
        await self._send(command.truncate_item(item_id, audio_end_ms=audio_end_ms))

    async def send_tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call; the model goes on when all calls of its response are answered.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        self._check_open()
        self._responses.begin_answer(call_id)
        try:
            await self._send(command.create_item(command.function_output_item(call_id, result)))
        except BaseException:
            self._responses.withdraw_answer(call_id)
            raise
        self._responses.finish_answer(call_id)
        await self._send_wishes()

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on; `instructions` shows it once the vendor has taken it."""
        await self.update_session({"instructions": instructions})

    async def update_session(self, changes: Mapping[str, Any]) -> None:
        """Change what `changes` holds of the vendor's session object, from now on; a refusal comes as `ErrorReported` and changes nothing.

        Raises:
            InvalidConfig: There is no such field, or its value cannot be sent; the formats are settled when connecting.
        """
        self._check_open()
        wanted = {"type": "realtime", **changes}
        check_session(wanted, beta=self._info.beta)
        _refuse_formats(wanted, "session")
        await self._send(command.update_session(wanted))

    async def _send_wishes(self) -> None:
        """Ask for the next response, if its time has come."""
        request = self._responses.next_request()
        if request is None:
            return
        try:
            await self._send(command.create_response(request.response, event_id=request.event_id))
        except BaseException:
            self._responses.not_sent(request)
            raise

    async def _send(self, message: str) -> None:
        self._check_open()
        try:
            await self._stream.send(message)
        except TransportError as error:
            cause = self._failures.hidden(error)
        else:
            return
        raise SessionClosed(vendor=VENDOR) from cause

    def _check_open(self) -> None:
        if self._over or self._closing:
            raise SessionClosed(vendor=VENDOR)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. Iterating then gives `SessionEnded`."""
        self._closing = True
        await self._stream.aclose()

    def _lost(self, cause: TransportError | RemoteProtocolError) -> None:
        if self._closing:
            self._finish("closed")
            return
        error = self._failures.ended(cause)
        if error is None:
            self._finish("closed_by_vendor")
        else:
            self._finish(SESSION_EXPIRED if error.code == SESSION_EXPIRED else "failed", error)

    def _finish(self, reason: str, error: ProviderError | None = None) -> None:
        self._over = True
        if error is not None:
            self._events.append(events.ErrorReported(error, fatal=True))
        self._events.append(events.SessionEnded(reason, error))


def _refuse_formats(told: Mapping[str, Any], where: str) -> None:
    for side in ("input", "output"):
        if "format" in told.get("audio", {}).get(side, {}):
            raise InvalidConfig(f"{where}.audio.{side}.format", "is settled when connecting")
