"""The caller's audio, kept until the vendor has understood it: what a new session must hear again, in its own format."""

from collections import deque
from dataclasses import dataclass

from trunkline.audio import AudioFormat, StreamConverter

Entry = tuple[float, bytes | None, int]
"""Where in the conversation it begins in milliseconds, the audio as it came, and the number of its format; None instead of audio for the
end of the user's turn by hand.

Fifty a second are kept for half a minute, for each call. Python's garbage collector does not come back to plain tuples of such values,
where tens of thousands of instances would stop the program for tens of milliseconds each time.
"""


@dataclass(slots=True)
class _Turn:
    item_id: str
    end_ms: float
    by_hand: bool = False
    answered_by: str | None = None
    is_settled: bool = False


class AudioReplay:
    """A bounded log of the caller's audio and of turns ended by hand. Positions are milliseconds of all the audio ever given.

    A turn is settled once its words are known (they go on as history) or an answer to it is complete. Audio up to the end of the last
    turn that is settled, together with all turns before it, is forgotten; so is the oldest, beyond the log's bounds.

    Args:
        audio_format: What the audio is, until `use` says otherwise.
        seconds: How much is kept at most.

    Attributes:
        end_ms: The position after the last byte given.
        dropped_bytes: Audio that no session was given, because there was no room to keep it while none was there.
        first: The number of the first entry kept; numbers are consecutive.
        last: The number that the next entry will have.
        unsent: The number of the first entry that no session was given yet.
    """

    def __init__(self, audio_format: AudioFormat, *, seconds: float) -> None:
        self.end_ms = 0.0
        self.dropped_bytes = 0
        self.first = self.last = self.unsent = 0
        self._room_ms = 1000 * seconds
        self._entries: deque[Entry] = deque()
        self._turns: deque[_Turn] = deque()
        self._formats: list[AudioFormat] = []
        self.use(audio_format)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, audio_format: AudioFormat) -> None:
        """The audio is of this format from now on."""
        if audio_format not in self._formats:
            self._formats.append(audio_format)
        self._format = self._formats.index(audio_format)
        self._bytes_per_ms = audio_format.bytes_per_ms
        self._piece = max(1, int(self._room_ms / 4 * self._bytes_per_ms))

    def add(self, audio: bytes) -> None:
        """The caller's audio goes on."""
        if len(audio) > self._piece:  # the oldest is forgotten entry by entry, so none may be most of the log
            for start in range(0, len(audio), self._piece):
                self.add(audio[start : start + self._piece])
            return
        self._entries.append((self.end_ms, audio, self._format))
        self.last += 1
        self.end_ms += len(audio) / self._bytes_per_ms
        while self.end_ms - self._entries[0][0] > self._room_ms:
            _, oldest, _ = self._entries.popleft()
            if self.first >= self.unsent and oldest is not None:
                self.dropped_bytes += len(oldest)
            self.first += 1

    def commit(self) -> None:
        """The user's turn is ended by hand here."""
        self._entries.append((self.end_ms, None, self._format))
        self.last += 1
        self._turns.append(_Turn("", self.end_ms, by_hand=True))

    def clear(self) -> None:
        """What is not part of a turn yet is not wanted; positions go on all the same."""
        kept = max((turn.end_ms for turn in self._turns), default=0.0)
        self._entries = deque(
            (begin, audio if audio is None else audio[: self._size(kept - begin, number)], number)
            for begin, audio, number in self._entries
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def start_ms(self) -> float:
        """The position from which audio is kept."""
        return self._entries[0][0] if self._entries else self.end_ms

    def entry(self, number: int) -> Entry:
        """An entry by its number, from `first` to before `last`."""
        return self._entries[number - self.first]

    def format_of(self, number: int) -> AudioFormat:
        """A format by the number that entries have."""
        return self._formats[number]

    # ── the vendor's progress ────────────────────────────────────────────────────────────────────────────────────────

    def turn_ended(self, item_id: str, at_ms: float) -> None:
        """The vendor heard the user's turn end at this position."""
        self._turns.append(_Turn(item_id, min(at_ms, self.end_ms)))

    def answer_began(self, response_id: str, *, unasked_at_ms: float | None) -> None:
        """An answer to all turns so far.

        Args:
            response_id: The answer.
            unasked_at_ms: What the vendor had been given, if it does not report speech and was not asked for the answer. Then the answer
                shows that a turn had ended.
        """
        if unasked_at_ms is not None and unasked_at_ms > self.start_ms:
            self._turns.append(_Turn("", min(unasked_at_ms, self.end_ms)))
        for turn in self._turns:
            turn.answered_by = response_id if turn.answered_by is None else turn.answered_by

    def answer_completed(self, response_id: str) -> None:
        """The turns that it answered are settled."""
        for turn in self._turns:
            turn.is_settled |= turn.answered_by == response_id
        self._forget_settled()

    def understood(self, item_id: str) -> None:
        """The words of a turn are known, so it is settled; one ended by hand has no id, so the oldest of those is meant."""
        for wanted in (item_id, ""):
            for turn in self._turns:
                if turn.item_id == wanted and not turn.is_settled:
                    turn.is_settled = True
                    self._forget_settled()
                    return

    def restart(self) -> bool:
        """Another session hears the log from its start; returns whether a turn is in it that the vendor had found the end of.

        Such a turn will be found again. Turns ended by hand will be ended again, being in the log.
        """
        unsettled = [turn for turn in self._turns if not turn.is_settled]
        self._turns = deque(turn for turn in unsettled if turn.by_hand)
        for turn in self._turns:
            turn.answered_by = None
        return any(turn.end_ms > self.start_ms for turn in unsettled if not turn.by_hand)

    def _forget_settled(self) -> None:
        settled = None
        while self._turns and self._turns[0].is_settled:
            settled = self._turns.popleft()
        if settled is not None:
            self._forget_before(settled.end_ms)

    def _forget_before(self, position: float) -> None:
        while self._entries:
            begin, audio, number = self._entries[0]
            size = self._size(position - begin, number)
            if size < len(audio or b""):
                if audio is not None and size > 0:
                    self._entries[0] = (position, audio[size:], number)
                return
            if audio is None and begin > position:
                return
            self._entries.popleft()
            self.first += 1

    def _size(self, ms: float, number: int) -> int:
        """Bytes of the whole samples in so many milliseconds, rounded to the nearest sample."""
        audio_format = self._formats[number]
        return max(0, round(ms * audio_format.sample_rate / 1000)) * audio_format.sample_bytes


class ReplayCursor:
    """One session's way through the log: what it is given next, converted to its format.

    Args:
        replay: The log, which it goes through from the start.
        audio_format: The session's input format.

    Attributes:
        next: The number of the entry that is given next.
        skipped_ms: The caller's audio that this session was not given, before what it was given.
        given_ms: What it was given.
    """

    __slots__ = ("_bytes_per_ms", "_converter", "_format", "_replay", "_source", "given_ms", "next", "skipped_ms")

    def __init__(self, replay: AudioReplay, audio_format: AudioFormat) -> None:
        self._replay = replay
        self.next = replay.first
        self.skipped_ms = replay.start_ms
        self.given_ms = 0.0
        self.use(audio_format)

    def use(self, audio_format: AudioFormat) -> None:
        """The session takes this format from now on."""
        self._format = audio_format
        self._source = -1
        self._bytes_per_ms = 1.0
        self._converter: StreamConverter | None = None

    @property
    def position_ms(self) -> float:
        """How far into all of the caller's audio this session was given it."""
        return self.skipped_ms + self.given_ms

    @property
    def is_behind(self) -> bool:
        """Whether there is something that the session was not given."""
        return self.next < self._replay.last

    def take(self) -> bytes | None:
        """The next audio, which may be empty; None for the end of a turn by hand. You must only call it while `is_behind`."""
        replay = self._replay
        number = max(replay.first, self.next)
        position, audio, audio_format = replay.entry(number)
        self.next = number + 1
        if self.next > replay.unsent:
            replay.unsent = self.next
        if audio is None:
            return None
        tail = b"" if audio_format == self._source else self._switch(audio_format)
        if audio:
            self.skipped_ms = position - self.given_ms
            self.given_ms += len(audio) / self._bytes_per_ms
        if self._converter is not None:
            audio = self._converter.convert(audio)
        return tail + audio if tail else audio

    def flush(self) -> bytes:
        """What the converter still holds of the audio so far."""
        return b"" if self._converter is None else self._converter.flush()

    def _switch(self, number: int) -> bytes:
        """From here on the audio comes in another format; gives the end of what came before."""
        tail = self.flush()
        source = self._replay.format_of(number)
        self._source, self._bytes_per_ms = number, source.bytes_per_ms
        self._converter = None if source == self._format else StreamConverter(source, self._format)
        return tail
