"""Words of a text, and when they are heard, from characters and their times."""

from collections.abc import Sequence

from trunkline.tts.provider import SpokenWord


class WordTimes:
    """Joins characters to words as they come; a word is known once the white space behind it came, or at the end."""

    def __init__(self) -> None:
        self._word = ""
        self._start_ms = 0.0
        self._end_ms = 0.0

    def add(
        self, characters: Sequence[str], starts_ms: Sequence[float], durations_ms: Sequence[float], *, offset_ms: float
    ) -> tuple[SpokenWord, ...]:
        """The words that these characters complete.

        Args:
            characters: As written.
            starts_ms: When each begins, in milliseconds after `offset_ms`.
            durations_ms: How long each lasts.
            offset_ms: Where their audio begins in the utterance.
        """
        words: list[SpokenWord] = []
        for character, start, duration in zip(characters, starts_ms, durations_ms, strict=True):
            begin = offset_ms + start
            if not character.isspace():
                if not self._word:
                    self._start_ms = begin
                self._word += character
            if self._word:
                self._end_ms = max(self._end_ms, begin + duration)
            if character.isspace():
                words.extend(self.end())
        return tuple(words)

    def end(self) -> tuple[SpokenWord, ...]:
        """The word that is not complete yet, if there is one."""
        word, self._word = self._word, ""
        return (SpokenWord(word, round(self._start_ms), round(max(self._start_ms, self._end_ms))),) if word else ()
