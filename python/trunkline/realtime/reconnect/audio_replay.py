"""The caller's side of a session, kept until the vendor has taken it in: what a new session must hear again."""

from collections import deque
from dataclasses import dataclass

from trunkline.audio import AudioFormat

Entry = tuple[int, bytes | None]
"""A position and the audio that begins there, or None for the end of the user's turn by hand.

Fifty a second are kept for half a minute, for each call. Python's garbage collector does not come back to plain tuples of such values,
where tens of thousands of instances would stop the program for tens of milliseconds each time.
"""


@dataclass(slots=True)
class _Turn:
    item_id: str
    end: int
    by_hand: bool = False
    is_guess: bool = False
    answered_by: str | None = None
    is_settled: bool = False


class InputLog:
    """A bounded log of audio and of turns ended by hand. Positions are bytes of all the audio ever given.

    A turn is settled once its words are known (they go on as history) or an answer to it is complete. Audio up to the end of the last
    turn that is settled, together with all turns before it, is forgotten; so is the oldest, beyond the log's bounds.

    Args:
        audio_format: What the audio is.
        seconds: How much is kept at most.
    """

    def __init__(self, audio_format: AudioFormat, *, seconds: float) -> None:
        self.end = 0
        """The position after the last byte given."""
        self.sent = 0
        """The position up to which a session, the present or an earlier one, was given the audio."""
        self.dropped_bytes = 0
        """Audio that was never sent because there was no room to keep it while no session was there."""
        self._format = audio_format
        self._room = audio_format.frame_bytes(1000 * seconds)
        self._entries: deque[Entry] = deque()
        self._is_told_turns = False
        self._first = 0  # the number of the first entry; numbers are consecutive
        self._turns: deque[_Turn] = deque()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, audio: bytes) -> None:
        """The caller's audio goes on."""
        self._entries.append((self.end, audio))
        self.end += len(audio)
        excess = self.end - self._room - self.start
        if excess > 0:
            keep_from = self.end - self._room
            keep_from += -keep_from % self._format.sample_bytes  # whole samples, so that the rest is still audio
            self.dropped_bytes += max(0, keep_from - max(self.start, self.sent))
            self._forget_before(keep_from)

    def commit(self) -> None:
        """The user's turn is ended by hand here."""
        self._entries.append((self.end, None))
        self._turns.append(_Turn("", self.end, by_hand=True))

    def clear(self) -> None:
        """What is not part of a turn yet is not wanted; positions go on all the same."""
        kept = max((turn.end for turn in self._turns), default=0)
        self._entries = deque(
            (position, audio if audio is None else audio[: max(0, kept - position)])
            for position, audio in self._entries
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def start(self) -> int:
        """The position from which audio is kept."""
        return self._entries[0][0] if self._entries else self.end

    @property
    def first(self) -> int:
        """The number of the first entry kept."""
        return self._first

    @property
    def last(self) -> int:
        """The number that the next entry will have."""
        return self._first + len(self._entries)

    def entry(self, number: int) -> Entry:
        """An entry by its number, from `first` to before `last`."""
        return self._entries[number - self._first]

    # ── the vendor's progress ────────────────────────────────────────────────────────────────────────────────────────

    def turn_ended(self, item_id: str, position: int) -> None:
        """The vendor heard the user's turn end at this position."""
        self._is_told_turns = True
        self._turns = deque(turn for turn in self._turns if not turn.is_guess)
        self._turns.append(_Turn(item_id, min(position, self.end)))

    def answer_began(self, response_id: str, *, unasked_at: int | None) -> None:
        """An answer to all turns so far.

        Args:
            response_id: The answer.
            unasked_at: What the vendor had been given, if it was not asked for the answer. From a vendor that tells of answers and never of
                turns, such an answer shows that a turn had ended.
        """
        if unasked_at is not None and unasked_at > self.start and not self._is_told_turns:
            self._turns.append(_Turn("", min(unasked_at, self.end), is_guess=True))
        for turn in self._turns:
            turn.answered_by = response_id if turn.answered_by is None else turn.answered_by

    def answer_completed(self, response_id: str) -> None:
        """The turns that it answered are settled."""
        for turn in self._turns:
            turn.is_settled |= turn.answered_by == response_id
        self._forget_settled()

    def understood(self, item_id: str) -> None:
        """The words of a turn are known, so it is settled; where ids tell nothing, it is the oldest that has none."""
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
        return any(turn.end > self.start for turn in unsettled if not turn.by_hand)

    def _forget_settled(self) -> None:
        settled = None
        while self._turns and self._turns[0].is_settled:
            settled = self._turns.popleft()
        if settled is not None:
            self._forget_before(settled.end)

    def _forget_before(self, position: int) -> None:
        while self._entries:
            begin, audio = self._entries[0]
            if begin + len(audio or b"") > position:
                break
            self._entries.popleft()
            self._first += 1
        if self._entries and (first := self._entries[0])[0] < position:
            begin, audio = first
            assert audio is not None  # noqa: S101 - a turn's end has no length
            self._entries[0] = (position, audio[position - begin :])
