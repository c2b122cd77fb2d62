"""Speech synthesis on this machine with espeak-ng, and when each word is said."""

import re
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import accumulate, pairwise

import anyio.to_thread

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig, ProviderUnavailable
from trunkline.tts.espeak import CONTROL, Clause, Espeak
from trunkline.tts.provider import SpeechCapabilities, SpeechPiece, SpeechSession, SpokenWord
from trunkline.tts.sentences import sentence_session

_LONGEST_CHUNK = 400  # characters: some 30 ms of work, so that others get their turn and a cancellation is noticed
_SENTENCE = re.compile(r".+?(?:[.!?]+(?=\s)|$)", re.DOTALL)
_TOKEN = re.compile(
    r"(?:[-\u2013\u2014.,;:!?\u2026]+\s+)?(?P<word>\S+)"
)  # a sign that stands alone is not said: its time is the next word's
_RATES = range(80, 451)
_PITCHES = range(101)


@dataclass(frozen=True, slots=True)
class Speech:
    """PCM16 mono, its sample rate in Hz, and the words in it."""

    pcm: bytes
    sample_rate: int
    words: tuple[SpokenWord, ...]

    @property
    def duration_ms(self) -> int:
        """The length of the audio."""
        return len(self.pcm) // 2 * 1000 // self.sample_rate


class LocalSynthesizer:
    """Speaks with one voice of espeak-ng (22,050 Hz); as many may be at work as you like, they take turns.

    Args:
        voice: An espeak-ng voice, with or without a variant: "en-us", "en-us+f3".
        rate_wpm: Words per minute, 80 to 450.
        pitch: 0 (deep) to 100 (high); 50 is the voice's own.

    Raises:
        MissingExtra: The extra `local` is not installed.
        InvalidConfig: The voice is not known, or a number is out of its range.
        ProviderUnavailable: espeak-ng cannot read its data.
    """

    def __init__(self, *, voice: str = "en-us", rate_wpm: int = 150, pitch: int = 50) -> None:
        if rate_wpm not in _RATES:
            raise InvalidConfig("rate_wpm", f"must lie between {_RATES[0]} and {_RATES[-1]}, got {rate_wpm!r}")
        if pitch not in _PITCHES:
            raise InvalidConfig("pitch", f"must lie between {_PITCHES[0]} and {_PITCHES[-1]}, got {pitch!r}")
        self._espeak = Espeak.shared()
        if not self._espeak.has_voice(voice):
            raise InvalidConfig("voice", f"espeak-ng has no voice {voice!r}")
        self._voice = voice
        self._rate_wpm = rate_wpm
        self._pitch = pitch

    @property
    def sample_rate(self) -> int:
        """Of what it speaks, in hertz."""
        return self._espeak.sample_rate

    async def synthesize(self, text: str) -> Speech:
        """Speak a text; markup and control characters have no meaning in it, and a text without words gives no audio.

        Raises:
            ProviderUnavailable: espeak-ng failed.
        """
        pcm = bytearray()
        words: list[SpokenWord] = []
        chunks = _chunks(text)
        for number, chunk in enumerate(chunks, start=1):
            clause = await anyio.to_thread.run_sync(self._speak, chunk, number < len(chunks))
            words.extend(_spoken_words(chunk, clause, len(pcm) // 2 * 1000 // self._espeak.sample_rate))
            pcm += clause.pcm
        return Speech(bytes(pcm), self._espeak.sample_rate, tuple(words))

    def _speak(self, text: str, pause_after: bool) -> Clause:
        clause = self._espeak.speak(
            text, voice=self._voice, rate_wpm=self._rate_wpm, pitch=self._pitch, pause_after=pause_after
        )
        if clause is None:
            raise ProviderUnavailable("espeak-ng", "synthesis failed")
        return clause


class LocalTTS:
    """The local voice as an engine: no key, no network; the times of all words.

    Args:
        voice_id: An espeak-ng voice, with or without a variant: "en-us", "en-us+f3".
        rate_wpm: Words per minute, 80 to 450.
        pitch: 0 (deep) to 100 (high); 50 is the voice's own.
        clock: Where time comes from.

    Raises:
        MissingExtra: The extra `local` is not installed.
        InvalidConfig: The voice is not known, or a number is out of its range.
        ProviderUnavailable: espeak-ng cannot read its data.
    """

    def __init__(
        self, *, voice_id: str = "en-us", rate_wpm: int = 150, pitch: int = 50, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._voice = LocalSynthesizer(voice=voice_id, rate_wpm=rate_wpm, pitch=pitch)
        self._format = AudioFormat("linear16", self._voice.sample_rate)
        self._clock = clock

    @property
    def name(self) -> str:
        """Its name, as in the registry."""
        return "local"

    @property
    def capabilities(self) -> SpeechCapabilities:
        """What it can do."""
        return SpeechCapabilities(formats=(self._format,), word_timings=True, sentences=True)

    def open(self, output_format: AudioFormat | None = None) -> AbstractAsyncContextManager[SpeechSession]:
        """Open the voice of one call; see `TextToSpeech`."""
        return sentence_session(
            self._spoken, self.capabilities.nearest(output_format), vendor=self.name, ahead=1, clock=self._clock
        )

    async def aclose(self) -> None:
        """Nothing is kept."""

    async def _spoken(self, text: str) -> AsyncGenerator[SpeechPiece]:
        speech = await self._voice.synthesize(text)
        yield SpeechPiece(speech.pcm, speech.words)


def _chunks(text: str) -> list[str]:
    """The text in pieces of bounded length: whole sentences where they fit, else words, else parts of words."""
    without_commands = CONTROL.sub(" ", text)
    cleaned = without_commands.encode("utf-8", "replace").decode()  # half a surrogate pair becomes a question mark
    chunks: list[str] = []
    for sentence in _SENTENCE.findall(cleaned):
        for piece in _bounded(sentence):
            if chunks and len(chunks[-1]) + 1 + len(piece) <= _LONGEST_CHUNK:
                chunks[-1] += " " + piece
            else:
                chunks.append(piece)
    return [chunk for chunk in chunks if any(character.isprintable() for character in chunk)]


def _bounded(sentence: str) -> list[str]:
    pieces: list[str] = []
    for word in sentence.split():
        for start in range(0, len(word), _LONGEST_CHUNK):
            part = word[start : start + _LONGEST_CHUNK]
            if pieces and len(pieces[-1]) + 1 + len(part) <= _LONGEST_CHUNK:
                pieces[-1] += " " + part
            else:
                pieces.append(part)
    return pieces


def _spoken_words(text: str, clause: Clause, offset_ms: int) -> list[SpokenWord]:
    """Give each word of the text its time; espeak-ng speaks "42" in two words, and "of a" in one, which share its time by their length."""
    tokens = list(_TOKEN.finditer(text))
    begins = [token.start() for token in tokens]
    times: dict[int, tuple[int, int]] = {}
    for event in clause.words:
        which = max(0, bisect_right(begins, event.position) - 1) if times else 0
        start_ms, _ = times.get(which, (event.start_ms, 0))
        times[which] = (start_ms, event.end_ms)
    words: list[SpokenWord] = []
    for first, following in pairwise([*sorted(times), len(tokens)]):
        start_ms, end_ms = times[first]
        words.extend(
            _shared([token["word"] for token in tokens[first:following]], offset_ms + start_ms, offset_ms + end_ms)
        )
    return words


def _shared(words: list[str], start_ms: int, end_ms: int) -> list[SpokenWord]:
    """Words that were spoken as one."""
    marks = [
        start_ms + (end_ms - start_ms) * length // sum(map(len, words))
        for length in accumulate(map(len, words), initial=0)
    ]
    return [SpokenWord(word, *span) for word, span in zip(words, pairwise(marks), strict=True)]
