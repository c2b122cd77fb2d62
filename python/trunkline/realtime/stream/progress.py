"""What a session still has to do, read off its events, so that a stream knows when it has ended."""

import math

import anyio

from trunkline.realtime.events import (
    ResponseFinished,
    ResponseStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)

QUIET = 1.0
"""Seconds without news after which a session with nothing left to do counts as finished."""
ANSWER_WAIT = 5.0
"""Seconds without news that an answer which is expected may take to begin."""


class Progress:
    """Whose turn it is, and what is under way.

    Attributes:
        news: Set at the next change.
        tools_answered: Tool calls whose results were sent.
        reports_speech: Whether the session tells when the user speaks. Where it does not, any audio that no answer followed may hold words.
    """

    def __init__(self) -> None:
        self.news = anyio.Event()
        self.reports_speech = True
        self._user_speaks = False
        self._answer_expected = False
        self._unanswered = False
        self._responses: set[str] = set()
        self.tools_answered = 0

    @property
    def needs_silence(self) -> bool:
        """Whether the vendor has yet to notice that the user has stopped speaking."""
        return self._user_speaks if self.reports_speech else self._unanswered and not self._responses

    def patience(self, *, tools_busy: bool) -> float:
        """How many seconds without news mean that the session has finished."""
        if self._responses or self._user_speaks or tools_busy:
            return math.inf
        expected = self._answer_expected or (self._unanswered and not self.reports_speech)
        return ANSWER_WAIT if expected else QUIET

    def audio_sent(self) -> None:
        """Some of the user's audio went out."""
        self._unanswered = True

    def tool_done(self, _call_id: str, sent: bool) -> None:
        """A tool call is over; where its result was sent, the model goes on."""
        if sent:
            self.tools_answered += 1
            self._answer_expected = True
        self.notify()

    def follow(self, event: SessionEvent) -> None:
        """Something happened in the session."""
        match event:
            case SpeechStarted():
                self._user_speaks = True
            case SpeechStopped():
                self._user_speaks, self._answer_expected = False, True
            case ResponseStarted():
                self._user_speaks = self._answer_expected = self._unanswered = False
                self._responses.add(event.response_id)
            case ResponseFinished():
                self._responses.discard(event.response_id)
        self.notify()

    def notify(self) -> None:
        """Wake whoever waits for `news`."""
        self.news.set()
        self.news = anyio.Event()
