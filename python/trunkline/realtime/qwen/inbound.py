"""What the service's events mean for a session: OpenAI's meanings, and what this service leaves out or says otherwise."""

from collections import deque
from dataclasses import replace
from typing import Any

from trunkline.errors import ProviderError
from trunkline.realtime import events
from trunkline.realtime.openai.inbound import Inbound
from trunkline.wire.realtime.openai import events as vendor

END_WITHIN = 5.0
"""Seconds that the service has to end a response that was cancelled; some models never say that it is over."""

STOP_AFTER = 0.5
"""Seconds after which a response that the user interrupted, and whose audio still comes, is cancelled by command as well. Not at once: the
command names no response, and might meet the answer to what the user just said.
"""

KEPT = 64
"""Ids of responses and turns remembered after their end, so that nothing of them is told twice."""


class QwenInbound(Inbound):
    """The receiving half of a session.

    Attributes:
        must_stop: The user interrupted an answer and the service goes on with it: it is to be told to stop.
        end_by: When to take a response that was cancelled for over, in seconds of the clock; None while there is none.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.must_stop = False
        self._stop_at: float | None = None
        self.end_by: float | None = None
        self._ended: deque[str] = deque(maxlen=KEPT)
        self._heard: str | None = None  # the turn whose speech was told last
        self._speaks = False
        self._settled: dict[str, str] = {}
        self._complete: deque[str] = deque(maxlen=KEPT)

    def take(self, event: vendor.ServerEvent) -> None:
        """Note an event and queue what it means."""
        match event:
            case vendor.AudioDelta():
                super().take(event)
                if self._stop_at is not None:
                    self._insist(event)
            case vendor.SpeechStarted():
                self._take_speech(event)
            case vendor.SpeechStopped():
                if self._speaks:
                    self._speaks = False
                    super().take(event)
            case vendor.InputCommitted() | vendor.InputCleared():
                self._end_speech()
                self._complete_words()
                super().take(event)
            case vendor.InputTranscript():
                self._take_user_words(event)
            case vendor.ResponseCreated(response_id):
                if response_id and (response_id in self._ended or self.responses.is_running(response_id)):
                    return  # said twice
                self._end_running()
                super().take(event)
                self.await_end()
            case vendor.OutputItemDone(response_id, _):
                super().take(event)
                if self.ids.response(response_id) in self.responses.unwanted:
                    self.end_cancelled()
            case _:
                super().take(event)

    def finish(self, reason: str, error: ProviderError | None = None) -> None:
        """The session is over."""
        self._complete_words()
        super().finish(reason, error)

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def await_end(self) -> None:
        """Wait for the end of what was cancelled, but not for ever."""
        if self.responses.unwanted and self.end_by is None:
            self.end_by = self._clock.now() + END_WITHIN

    def end_cancelled(self) -> None:
        """Take the responses that were cancelled for over: the service may not say more of them."""
        for response_id in self.responses.unwanted:
            self._finish_response(vendor.ResponseDone(response_id, "cancelled"))

    def _end_running(self) -> None:
        """One response runs at a time: what ran before is over, whether the service said so or not."""
        self.end_cancelled()
        for response_id in self.responses.wanted:
            self._finish_response(vendor.ResponseDone(response_id, "incomplete"))

    def _finish_response(self, event: vendor.ResponseDone) -> None:
        response_id = self.ids.response(event.response_id)
        if response_id in self._ended:
            return
        self._ended.append(response_id)
        if response_id in self.responses.unwanted:
            event = replace(event, status="cancelled", reason="")  # that it was interrupted is told already
        super()._finish_response(event)
        if not self.responses.unwanted:
            self.end_by = self._stop_at = None

    # ── the user ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_speech(self, event: vendor.SpeechStarted) -> None:
        """The user begins to speak; the service may say so several times."""
        if self._speaks and event.item_id in {"", self._heard}:
            return
        if event.item_id and event.item_id == self._heard:
            return
        self._end_speech()
        self._speaks, self._heard = True, event.item_id
        stopped = self.responses.wanted if self.info.interrupts else frozenset()
        super().take(event)
        for response_id in stopped:
            self.queue.append(events.Interrupted(response_id))
        if stopped:
            self._stop_at = self._clock.now() + STOP_AFTER
            self.await_end()

    def _insist(self, event: vendor.AudioDelta) -> None:
        """The service should have stopped this answer by itself."""
        late = self._stop_at is not None and self._clock.now() >= self._stop_at
        if late and self.ids.response(event.response_id) in self.responses.unwanted:
            self._stop_at = None
            self.must_stop = True

    def _end_speech(self) -> None:
        """Speech whose end the service did not tell."""
        if self._speaks:
            self._speaks = False
            super().take(vendor.SpeechStopped(""))

    def _take_user_words(self, event: vendor.InputTranscript) -> None:
        turn = self.ids.turn(event.item_id)
        if turn in self._complete:
            return
        if event.is_final:
            self._settled.pop(turn, None)
            self._complete.append(turn)
            self.queue.append(events.UserTranscript(event.text, True, turn))
            return
        known = self._settled.get(turn, "")
        piece = event.text.removeprefix(known) if event.text.startswith(known) else ""
        self._settled[turn] = known + piece
        self.queue.append(events.UserTranscript(piece, False, turn, event.pending))

    def _complete_words(self) -> None:
        """Words that the service never called complete are so when the next turn comes, and at the end."""
        for turn, text in self._settled.items():
            self._complete.append(turn)
            if text:
                self.queue.append(events.UserTranscript(text, True, turn))
        self._settled.clear()
