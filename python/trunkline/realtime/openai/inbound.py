"""What the vendor's events mean for a session: the state they change, and the session events they become. Nothing here waits or sends."""

import logging
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

from trunkline.clock import Clock
from trunkline.errors import ProviderError
from trunkline.realtime import events
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.realtime.openai.ids import SessionIds
from trunkline.realtime.openai.responses import ResponseArbiter
from trunkline.wire.realtime.openai import events as vendor
from trunkline.wire.realtime.openai.errors import ACTIVE_RESPONSE
from trunkline.wire.realtime.openai.session import SessionInfo

log = logging.getLogger(__name__)

_STATUSES: dict[str, Literal["completed", "cancelled", "incomplete", "failed"]] = {
    "completed": "completed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "incomplete": "incomplete",
    "failed": "failed",
}


@dataclass(slots=True)
class Part:
    """A spoken part of an item of the model's: where the vendor has it, and how much of it was received."""

    item_id: str
    content_index: int
    received_bytes: int = 0


class Inbound:
    """The receiving half of a session.

    Args:
        info: What the vendor said the session is.
        transcribe_output: Whether the answer's words are passed on.
        errors: Makes errors of what goes wrong.
        clock: Where time comes from.
        limit: Seconds after which the vendor ends every session, where it is known and the vendor does not say when.

    Attributes:
        info: What the vendor last said.
        responses: When to ask for a response.
        ids: The ids of what the vendor leaves without one.
        queue: Session events that were not read yet.
        ending_at: When the vendor will end the session, in seconds of the clock.
        is_over: No more events will come but those in the queue.
    """

    def __init__(
        self, info: SessionInfo, *, transcribe_output: bool, errors: ErrorMap, clock: Clock, limit: float | None
    ) -> None:
        self.info = info
        self.responses = ResponseArbiter()
        self.ids = SessionIds()
        self.is_over = False
        self.queue: deque[events.SessionEvent] = deque(
            [events.SessionReady(info.session_id, info.input_format, info.output_format, info.model)]
        )
        self._transcribe_output = transcribe_output
        self._errors = errors
        self._clock = clock
        self._parts: dict[str, Part] = {}
        self._tools: dict[str, str] = {}
        self._function_items: dict[str, vendor.Item] = {}
        self._arguments: dict[str, str] = {}
        self.ending_at = self._moment(info.expires_at)
        if self.ending_at is None and limit is not None:
            self.ending_at = clock.now() + limit

    def part(self, item_id: str) -> Part | None:
        """The spoken part that is called `item_id` in this session's events; None if none of its audio was received."""
        return self._parts.get(item_id)

    def tool(self, call_id: str) -> str:
        """The name of the tool that was called; "" if it was in an earlier session."""
        return self._tools.get(call_id, "")

    def finish(self, reason: str, error: ProviderError | None = None) -> None:
        """The session is over."""
        self.is_over = True
        if error is not None:
            self.queue.append(events.ErrorReported(error, fatal=True))
        self.queue.append(events.SessionEnded(reason, error))

    def take(self, event: vendor.ServerEvent) -> None:
        """Note an event and queue what it means."""
        if type(event) is vendor.AudioDelta:  # most of them
            self._take_audio(event)
            return
        match event:
            case vendor.SpeechStarted(item_id, audio_start_ms):
                self.responses.user_began(interrupts=self.info.interrupts)
                self.queue.append(events.SpeechStarted(self.ids.turn_began(item_id), audio_start_ms))
            case vendor.SpeechStopped(item_id, audio_end_ms):
                self.responses.user_stopped(answered=self.info.answers_turns)
                self.queue.append(events.SpeechStopped(self.ids.turn(item_id), audio_end_ms))
            case vendor.InputCommitted(item_id):
                self.responses.turn_committed(answered=self.info.answers_turns)
                self.queue.append(events.UserTurnCommitted(self.ids.turn_committed(item_id)))
            case vendor.InputCleared():
                self.responses.turn_dropped()
            case vendor.InputTranscript(item_id, text, is_final):
                self.queue.append(events.UserTranscript(text, is_final, self.ids.turn(item_id)))
            case vendor.InputTranscriptFailed(_, error):
                self.queue.append(events.ErrorReported(self._errors.reported(error)))
            case vendor.ItemAdded(item):
                self._take_item(item)
            case vendor.SessionUpdated(info):
                self._take_update(info)
            case vendor.ErrorReceived(error):
                self._take_error(error)
            case _:
                self._take_response(event)

    def _take_response(self, event: vendor.ServerEvent) -> None:
        match event:
            case vendor.ResponseCreated(response_id):
                response_id = self.ids.response_began(response_id)
                self.responses.response_created(response_id)
                self.queue.append(events.ResponseStarted(response_id))
            case vendor.OutputText():
                self._take_words(event)
            case vendor.OutputItemAdded(_, item):
                self._take_item(item)
            case vendor.ArgumentsDelta(item_id, text):
                self._arguments[item_id] = self._arguments.get(item_id, "") + text
            case vendor.ArgumentsDone(response_id, item_id, call_id, name, arguments):
                known = self._function_items.get(item_id, vendor.Item(item_id, "function_call"))
                known = replace(known, call_id=call_id or known.call_id, name=name or known.name, arguments=arguments)
                self._request_wanted_tool(self.ids.response(response_id), known)
            case vendor.OutputItemDone(response_id, item):
                if item.status == "completed":
                    self._request_wanted_tool(self.ids.response(response_id), item)
            case vendor.ResponseDone():
                self._finish_response(event)
            case _:
                log.debug("nothing to do for %s", type(event).__name__)

    # ── an answer ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_audio(self, event: vendor.AudioDelta) -> None:
        response_id = self.ids.response(event.response_id)
        if not self.responses.is_wanted(response_id):
            return
        part_id = self.ids.part(response_id, event.item_id, event.content_index)
        part = self._parts.get(part_id)
        if part is None:
            part = self._parts[part_id] = Part(event.item_id, event.content_index)
        part.received_bytes += len(event.audio)
        self.queue.append(events.AudioReceived(event.audio, part_id, response_id))

    def _take_words(self, event: vendor.OutputText) -> None:
        response_id = self.ids.response(event.response_id)
        # All words of a part count although its response is being cancelled: they belong to what was heard.
        passes = self.responses.is_running if event.is_final else self.responses.is_wanted
        if self._transcribe_output and passes(response_id):
            part_id = self.ids.part(response_id, event.item_id, event.content_index)
            self.queue.append(events.AgentTranscript(event.text, event.is_final, part_id, response_id))

    def _finish_response(self, event: vendor.ResponseDone) -> None:
        response_id = self.ids.response(event.response_id)
        status = _STATUSES.get(event.status, "completed" if event.error is None else "failed")
        if status == "completed":
            for item in event.output:
                self._request_tool(response_id, item)
        self._function_items.clear()
        self._arguments.clear()
        self.responses.response_done(response_id, cancelled=status == "cancelled")
        if status == "cancelled" and event.reason == "turn_detected":
            self.queue.append(events.Interrupted(response_id))
        error = None if event.error is None else self._errors.reported(event.error)
        self.queue.append(events.ResponseFinished(response_id, status, event.reason, event.usage, error))

    # ── items ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_item(self, item: vendor.Item) -> None:
        match item.kind:
            case "function_call":
                self._function_items[item.item_id] = item
            case "function_call_output":
                self.responses.item_confirmed()
            case "message" if item.role in {"user", "system"} and item.item_id != self.ids.current_turn:
                self.responses.item_confirmed()

    def _request_wanted_tool(self, response_id: str, item: vendor.Item) -> None:
        if self.responses.is_wanted(response_id):
            self._request_tool(response_id, item)

    def _request_tool(self, response_id: str, item: vendor.Item) -> None:
        """Pass a complete call on, once.

        Where a server leaves out the name, a later event of the same call has it; where it leaves out the arguments, they are what the
        deltas gave.
        """
        if item.kind != "function_call" or not item.name:
            return
        call_id = self.ids.call(response_id, item)
        if self.responses.call_requested(call_id, response_id):
            self._tools[call_id] = item.name
            arguments = item.arguments or self._arguments.get(item.item_id, "")
            self.queue.append(events.ToolCallRequested(call_id, item.name, arguments, response_id))

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_update(self, info: SessionInfo) -> None:
        known = self.info
        self.info = replace(
            info,
            session_id=known.session_id,
            expires_at=info.expires_at or known.expires_at,
            is_flat=known.is_flat,
        )
        if not info.detects_turns:
            self.responses.turn_dropped()  # its end would not be told any more
        if self.info.expires_at != known.expires_at:
            ending_at = self._moment(self.info.expires_at)
            if ending_at is not None:
                self.ending_at = ending_at
                self.queue.append(events.SessionEnding(ending_at))

    def _moment(self, expires_at: float | None) -> float | None:
        """A time of day on our clock; one that has passed cannot be meant."""
        if expires_at is None:
            return None
        seconds = expires_at - self._clock.wall().timestamp()
        return self._clock.now() + seconds if seconds > 0 else None

    def _take_error(self, error: vendor.VendorError) -> None:
        self.responses.refused(error.caused_by, response_runs=error.code == ACTIVE_RESPONSE)
        if self._errors.wire.is_benign(error):
            log.debug("harmless error %s", error.code or error.param)
        elif error.code in self._errors.wire.ENDINGS:
            self.finish(error.code, self._errors.reported(error))
        elif error.ends_session:
            self.finish("failed", self._errors.reported(error))
        else:
            self.queue.append(events.ErrorReported(self._errors.reported(error)))
