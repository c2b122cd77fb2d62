"""What the vendor's messages mean for a session: the state they change, and the session events they become. Nothing here waits or sends.

The protocol has neither ids nor a beginning of an answer: an answer begins with the first thing that comes of it and ends with
`turnComplete`, or with its tool calls, as what the model says to their results is a new one.
"""

import logging
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.clock import Clock
from trunkline.errors import LocalProtocolError, ProviderError
from trunkline.realtime import events
from trunkline.realtime.error_map import ConnectionErrors
from trunkline.wire.realtime.gemini import events as vendor
from trunkline.wire.realtime.gemini.decode import OUTPUT_RATE, VENDOR

log = logging.getLogger(__name__)

OUTPUT: Final = AudioFormat(encoding="linear16", sample_rate=OUTPUT_RATE)

Status = Literal["completed", "cancelled", "incomplete", "failed"]

_ORDINARY: Final = {"", "TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT"}
_FAILED: Final = {"MALFORMED_FUNCTION_CALL"}
"""Reasons of an end that say the model itself went wrong; all others are about what it may not say."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that is given its result: the answer it belongs to, and whether it was the last one of it without."""

    response_id: str
    is_last: bool


class Inbound:
    """The receiving half of a session.

    Args:
        ready: The first event.
        speaks: Whether the model answers in audio; otherwise in text.
        errors: Makes errors of what goes wrong.
        clock: Where time comes from.

    Attributes:
        queue: Session events that were not read yet.
        running: The answer that goes on; "" while there is none.
        answer_due: An answer was asked for, or is owed to results of tools, and did not begin.
        ending_at: When the vendor will end the session, in seconds of the clock.
        is_over: No more events will come but those in the queue.
    """

    def __init__(self, ready: events.SessionReady, *, speaks: bool, errors: ConnectionErrors, clock: Clock) -> None:
        self.queue: deque[events.SessionEvent] = deque([ready])
        self.running = ""
        self.answer_due = False
        self.ending_at: float | None = None
        self.is_over = False
        self._speaks = speaks
        self._errors = errors
        self._clock = clock
        self._numbers = count(1)
        self._last = ""
        self._is_interrupted = False
        self._item = ""
        self._words = ""
        self._usage: events.Usage | None = None
        self._user = ""
        self._user_words = ""
        self._turns = count(1)
        self._names: dict[str, str] = {}
        self._batches: dict[str, set[str]] = {}
        self._taken_back: set[str] = set()
        self._call_numbers = count(1)
        self._handle: str | None = None
        self._handle_is_new = False
        self._ends_calls = False  # the vendor may still end the turn of calls that were told
        self._converter: StreamConverter | None = None
        self._converts_from = 0

    def finish(self, reason: str, error: ProviderError | None = None) -> None:
        """The session is over."""
        self._end_user_words()
        self.is_over = True
        if error is not None:
            self.queue.append(events.ErrorReported(error, fatal=True))
        self.queue.append(events.SessionEnded(reason, error))

    def conversation_changed(self) -> None:
        """The program added to the conversation: the handle leads to before it."""
        self._resumable(None)

    # ── tool calls ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def waits_for_tools(self) -> bool:
        """Whether a call has no result yet."""
        return bool(self._batches)

    def tool(self, call_id: str) -> str | None:
        """The name of a tool whose call wants a result; None if the vendor took it back.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        if call_id in self._taken_back:
            return None
        if call_id not in self._names:
            raise LocalProtocolError(f"no tool call {call_id!r} was requested in this session")
        if not any(call_id in batch for batch in self._batches.values()):
            raise LocalProtocolError(f"tool call {call_id!r} was answered before")
        return self._names[call_id]

    def is_last(self, call_id: str) -> bool:
        """Whether all other calls of its answer have their results."""
        return {call_id} in self._batches.values()

    def begin_answer(self, call_id: str, *, stays_open: bool = False) -> "Answered":
        """A call is about to be given its result, or with `stays_open` a part of it; you must call `withdraw_answer` if it is not sent."""
        for response_id, batch in self._batches.items():
            if call_id in batch:
                if stays_open:
                    return Answered(response_id, False)
                batch.discard(call_id)
                if not batch:
                    del self._batches[response_id]
                return Answered(response_id, not batch)
        return Answered("", False)

    def withdraw_answer(self, call_id: str, answered: "Answered") -> None:
        """The result that was begun could not be sent."""
        self._batches.setdefault(answered.response_id, set()).add(call_id)

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, event: vendor.ServerEvent) -> None:
        """Note an event and queue what it means."""
        if type(event) is vendor.AudioPiece:  # most of them
            self._take_audio(event)
            return
        match event:
            case vendor.InputText(text, finished):
                self._hear_user(text)
                if finished:
                    self._end_user_words()
            case vendor.InterimInputText(text):
                self.queue.append(events.UserTranscript("", False, self._user_turn(), pending=text))
            case vendor.OutputText(text):
                self._say(text)
            case vendor.TextPiece(text):
                if not self._speaks:
                    self._say(text)
            case vendor.Interrupted():
                self._interrupt()
            case vendor.ToolCalls(calls):
                self._request_tools(calls)
            case vendor.CallsCancelled(call_ids):
                self._take_back(call_ids)
            case vendor.UsageTold(usage):
                self._usage = usage  # of the whole turn up to now, so the last one counts
            case vendor.TurnComplete(reason):
                self._end_turn(reason)
            case vendor.ResumptionUpdate(handle):
                self._handle_is_new = True
                self._resumable(handle)
            case vendor.GoAway(time_left):
                self.ending_at = self._clock.now() + time_left
                self.queue.append(events.SessionEnding(self.ending_at))
            case vendor.Unreadable(error):
                self.queue.append(events.ErrorReported(self._errors.malformed(error)))
            case _:
                log.debug("nothing to do for %s", type(event).__name__)

    # ── an answer ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        """An answer goes on; it begins if there is none."""
        if self.running and not self._is_interrupted:
            return
        if self.running:  # the end of the one that was interrupted was left out
            self._end_response("cancelled", "interrupted")
        self.running = self._last = f"response-{next(self._numbers)}"
        self._item = f"{self.running}-item"
        self.answer_due = self._handle_is_new = self._ends_calls = False
        self.queue.append(events.ResponseStarted(self.running))

    def _take_audio(self, piece: vendor.AudioPiece) -> None:
        self._begin()
        audio = piece.audio
        if piece.rate != OUTPUT_RATE:
            audio = self._converted(audio, piece.rate)
        if audio:
            self.queue.append(events.AudioReceived(audio, self._item, self.running))

    def _converted(self, audio: bytes, rate: int) -> bytes:
        """Audio of another rate than was agreed."""
        if self._converter is None or self._converts_from != rate:
            self._converts_from = rate
            self._converter = StreamConverter(AudioFormat(encoding="linear16", sample_rate=rate), OUTPUT)
        return self._converter.convert(audio)

    def _say(self, text: str) -> None:
        if not self._is_interrupted:  # else they are words of what was cut
            self._begin()
        if not self._words:
            text = text.lstrip()
        if text:
            self._words += text
            self.queue.append(events.AgentTranscript(text, False, self._item, self.running))

    def _interrupt(self) -> None:
        self._end_user_words()
        if self._last and not self._is_interrupted:
            self._is_interrupted = bool(self.running)
            self.queue.append(events.Interrupted(self._last))

    def _end_turn(self, reason: str) -> None:
        if not self.running and self.answer_due and not self._ends_calls:
            self._begin()  # the model chose to say nothing
        self._ends_calls = False
        if self.running:
            if self._is_interrupted:
                self._end_response("cancelled", "interrupted")
            else:
                self._end_response(_status(reason), reason)
        self._usage = None

    def _end_response(self, status: Status, reason: str = "") -> None:
        self._end_user_words()
        if self._words:
            self.queue.append(events.AgentTranscript(self._words, True, self._item, self.running))
        error = ProviderError("the model's answer failed", reason, vendor=VENDOR) if status == "failed" else None
        self.queue.append(events.ResponseFinished(self.running, status, reason, self._usage, error))
        self.running = self._words = ""
        self._is_interrupted = False
        self._usage = None
        if not self._handle_is_new:  # it leads to before this answer
            self._resumable(None)

    def _request_tools(self, calls: tuple[vendor.FunctionCall, ...]) -> None:
        new = [call for call in calls if not call.call_id or call.call_id not in self._names]
        if not new:
            return
        self._begin()
        batch = self._batches.setdefault(self.running, set())
        for call in new:
            call_id = call.call_id or f"call-{next(self._call_numbers)}"
            self._names[call_id] = call.name
            batch.add(call_id)
            self.queue.append(events.ToolCallRequested(call_id, call.name, call.arguments, self.running))
        self._end_response("completed")
        self._ends_calls = True

    def _take_back(self, call_ids: tuple[str, ...]) -> None:
        for call_id in call_ids:
            if any(call_id in batch for batch in self._batches.values()):
                self.begin_answer(call_id)
                self._taken_back.add(call_id)
                self.queue.append(events.ToolCallCancelled(call_id))

    # ── the user ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _user_turn(self) -> str:
        if not self._user:
            self._user = f"user-{next(self._turns)}"
        return self._user

    def _hear_user(self, text: str) -> None:
        if not self._user_words:
            text = text.lstrip()
        if text:
            self._user_words += text
            self.queue.append(events.UserTranscript(text, False, self._user_turn()))

    def _end_user_words(self) -> None:
        if self._user_words:
            self.queue.append(events.UserTranscript(self._user_words, True, self._user))
        self._user = self._user_words = ""

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _resumable(self, handle: str | None) -> None:
        if handle != self._handle:
            self._handle = handle
            self.queue.append(events.SessionResumable(handle))


def _status(reason: str) -> Status:
    if reason in _ORDINARY:
        return "completed"
    return "failed" if reason in _FAILED else "incomplete"
