"""The caller's turns: when they speak, for how long, and what they said, whoever noticed it."""

from itertools import count

from trunkline.clock import Clock
from trunkline.pipeline.events import EventLog, EventType
from trunkline.pipeline.metrics import MetricsCollector
from trunkline.pipeline.transcript import TranscriptBuilder
from trunkline.realtime.events import UserTranscript


class UserTurns:
    """Tells of the caller's turns: in the transcript, the events and the figures.

    A vendor that does not report speech has no ids for turns before there are words. Such a turn gets an id here, and the words that come
    while no older turn waits for any are those of the latest turn.

    Args:
        transcript: Where the turns are noted.
        log: Where events go.
        metrics: Where figures go.
        clock: What everything is timed by.
    """

    def __init__(self, transcript: TranscriptBuilder, log: EventLog, metrics: MetricsCollector, clock: Clock) -> None:
        self.over_answer_ms = 0
        """How long the caller last spoke while the answer was there."""
        self._transcript = transcript
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._since: float | None = None
        self._start_ms: dict[str, int | None] = {}
        self._own_ids = count(1)
        self._own = ""
        """The turn that was noticed here and goes on."""
        self._wordless = ""
        """The turn that was noticed here last, until there are words for it."""
        self._own_of_item: dict[str, str] = {}

    def begin(self, item_id: str, ago_ms: float, start_ms: int | None = None) -> None:
        """The caller began to speak; `start_ms` tells where in the audio, if that is known."""
        self._transcript.begin("user", item_id, self._clock.wall())
        self._start_ms[item_id] = start_ms
        self._since = self._clock.now() - ago_ms / 1000
        self._log.emit(EventType.USER_SPEECH_START, item_id=item_id)

    def end(self, item_id: str, end_ms: int | None = None, *, ago_ms: int = 0) -> None:
        """The caller stopped; the length of their speech is measured in audio if both ends of it are known, else in time."""
        start_ms = self._start_ms.pop(item_id, end_ms)
        if start_ms is None or end_ms is None:
            speech_ms = max(0, self.speaks_for_ms() - ago_ms) if self._since is not None else 0
        else:
            speech_ms = max(0, end_ms - start_ms)
        self.over_answer_ms, self._since = speech_ms, None
        self._metrics.user_stopped(item_id, speech_ms)
        self._transcript.begin("user", item_id, self._clock.wall()).duration_ms = speech_ms
        self._log.emit(EventType.USER_SPEECH_END, item_id=item_id, duration_ms=speech_ms)

    @property
    def is_own(self) -> bool:
        """Whether the caller speaks in a turn that was noticed here."""
        return bool(self._own)

    def begin_own(self, ago_ms: int) -> None:
        """The detector on this side heard the caller begin."""
        self._own = self._wordless = f"speech-{next(self._own_ids)}"
        self.begin(self._own, ago_ms)

    def end_own(self, ago_ms: int) -> None:
        """It heard them stop."""
        own, self._own = self._own, ""
        self.end(own, ago_ms=ago_ms)

    def committed(self, item_id: str) -> None:
        """What the caller said became an item of the conversation."""
        self._transcript.begin("user", self._turn_of(item_id), self._clock.wall())

    def said(self, event: UserTranscript) -> None:
        """The caller's words."""
        item_id = self._turn_of(event.item_id)
        speech = self._transcript.begin("user", item_id, self._clock.wall())
        speech.add_text(event.text, is_final=event.is_final)
        if event.is_final:
            self._metrics.user_words(item_id)
        self._log.emit(EventType.USER_TRANSCRIPT, text=event.text, is_final=event.is_final, item_id=item_id)

    def noticed(self, *, speaks: bool) -> None:
        """The caller began or stopped to speak, by a detector that only decides about interruptions."""
        if speaks:
            self._since = self._clock.now()
        else:
            self.over_answer_ms, self._since = self.speaks_for_ms(), None

    def speaks_for_ms(self) -> int:
        """How long the caller has been speaking, or last spoke over the answer; 0 if they did not, or nobody noticed."""
        if self._since is None:
            return self.over_answer_ms
        return max(0, round((self._clock.now() - self._since) * 1000))

    def _turn_of(self, item_id: str) -> str:
        """The turn that an item of the vendor's is about."""
        if self._wordless and item_id not in self._own_of_item and item_id not in self._start_ms:
            self._own_of_item[item_id], self._wordless = self._wordless, ""
        return self._own_of_item.get(item_id, item_id)
