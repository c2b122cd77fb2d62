"""Speech recognition on this machine: a small grammar, and a second opinion that rejects what lies outside it."""

import random
import tempfile
import threading
from array import array
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio.to_thread

from trunkline.audio import AudioFormat, convert
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidAudioData, InvalidConfig, MissingExtra
from trunkline.stt.grammar import Grammar, normalize
from trunkline.stt.language_model import arpa, vocabulary
from trunkline.stt.provider import SttCapabilities, SttSession, Transcription
from trunkline.stt.utterances import CAPABILITIES, UtteranceOptions, utterance_session

_HEARS = AudioFormat("linear16", 16_000)
_BYTES_PER_SECOND = 32000
_SHORTEST_SECONDS = 0.2
_PIECE_BYTES = 3200
_WINDOW_SAMPLES = 160
_QUIET = 50  # times quieter than the loudest window
_SILENCE = 60  # the loudest sample that nobody can have spoken
_KEPT_WINDOWS = 5
_MARGIN = array("h", bytes(8000))  # 250 ms
_DITHER = 30
_DITHER_SEED = 16000


class LocalRecognizer:
    """Hears the sentences of a grammar, and nothing else: what is not one of them gives None.

    A sentence counts when the grammar parses it to its end and a second pass, with a small language model, hears most of the same
    words. One recogniser may serve many sessions; it decodes one utterance at a time, in a worker thread. The decoder holds the
    interpreter's lock while it works, so expect pauses of a few tens of milliseconds.

    Args:
        grammar: The sentences to hear.
        max_seconds: Utterances longer than this are not decoded: no sentence takes as long.

    Raises:
        MissingExtra: The extra `local` is not installed.
        InvalidConfig: The pronunciation of one of the grammar's words is not known.
    """

    def __init__(self, grammar: Grammar, *, max_seconds: float = 15.0) -> None:
        if max_seconds <= _SHORTEST_SECONDS:
            raise InvalidConfig("max_seconds", f"must be above {_SHORTEST_SECONDS}, got {max_seconds!r}")
        self._grammar = grammar
        self._max_bytes = int(max_seconds * _BYTES_PER_SECOND)
        self._decoder = _build_decoder(grammar)
        self._one_at_a_time = threading.Lock()

    async def transcribe(self, pcm: bytes) -> str | None:
        """The sentence that was said, in lower case; None if it is not one of the grammar's.

        Args:
            pcm: One whole utterance, PCM16 mono at 16 kHz, with or without silence around it.

        Raises:
            InvalidAudioData: Half a sample is missing at the end.
        """
        if len(pcm) % 2:
            raise InvalidAudioData(f"PCM16 has 2 bytes per sample, got {len(pcm)} bytes")
        if not _SHORTEST_SECONDS * _BYTES_PER_SECOND <= len(pcm) <= self._max_bytes:
            return None
        return await anyio.to_thread.run_sync(self._recognize, pcm)

    def _recognize(self, pcm: bytes) -> str | None:
        speech = _speech(array("h", pcm))
        if not speech:
            return None
        audio = _dithered(_MARGIN + speech + _MARGIN)
        with self._one_at_a_time:
            mean = self._cepstral_mean(audio)
            sentence = self._decode("grammar", audio, mean)
            match = self._grammar.match(sentence)
            if match is None:  # the caller stopped in the middle of every sentence that fits
                return None
            second = self._decode("words", audio, mean)
        essential = [word for value in match.values.values() for word in normalize(value).split()]
        return sentence if _agree(sentence.split(), second.split(), essential) else None

    def _cepstral_mean(self, audio: bytes) -> str:
        """What the decoder must subtract to hear this line and this voice as it hears others; of the whole utterance, without a search."""
        self._decoder.activate_search("grammar")
        self._decoder.start_utt()
        self._decoder.process_raw(audio, no_search=True, full_utt=True)
        self._decoder.end_utt()
        return str(self._decoder.get_cmn(True))

    def _decode(self, search: str, audio: bytes, mean: str) -> str:
        self._decoder.activate_search(search)
        self._decoder.start_utt()
        self._decoder.set_cmn(mean)
        for start in range(0, len(audio), _PIECE_BYTES):  # other threads run between two pieces
            self._decoder.process_raw(audio[start : start + _PIECE_BYTES])
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""


class LocalSTT:
    """Speech to text on this machine, of the sentences of a grammar (`LocalRecognizer`): no network, no key.

    Args:
        grammar: The sentences to hear.
        utterances: How the caller's audio is cut.
        clock: Where time comes from.

    Raises:
        MissingExtra: The extra `local` is not installed.
        InvalidConfig: The pronunciation of one of the grammar's words is not known.
    """

    def __init__(
        self, grammar: Grammar, *, utterances: UtteranceOptions | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._recognizer = LocalRecognizer(grammar)
        self._utterances = utterances or UtteranceOptions()
        self._clock = clock

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return "local"

    @property
    def capabilities(self) -> SttCapabilities:
        """What its sessions can do."""
        return CAPABILITIES

    def connect(self, audio_format: AudioFormat) -> AbstractAsyncContextManager[SttSession]:
        """Open a session for one caller; leaving the block closes it.

        Raises:
            InvalidConfig: The audio is not mono.
        """
        return utterance_session(self, audio_format, self._utterances, vendor=self.name, clock=self._clock)

    async def transcribe(self, audio: bytes, audio_format: AudioFormat) -> Transcription:
        """The sentence that was said; "" if it is not one of the grammar's."""
        return Transcription(await self._recognizer.transcribe(convert(audio, audio_format, _HEARS)) or "")

    async def aclose(self) -> None:
        """Nothing is kept between sessions."""


def _build_decoder(grammar: Grammar) -> Any:
    try:
        from pocketsphinx import Decoder, get_model_path
    except ImportError as exc:
        raise MissingExtra("local", "local speech recognition") from exc
    full_dictionary = Path(get_model_path("en-us/cmudict-en-us.dict"))
    with tempfile.TemporaryDirectory() as directory:  # dictionary and model are read from files only
        dictionary, model = Path(directory, "words.dict"), Path(directory, "words.lm")
        dictionary.write_text(_pronunciations(full_dictionary, vocabulary(grammar)), encoding="utf-8")
        model.write_text(arpa(grammar), encoding="ascii")
        # The flat search alone: with so few words it is fast, and it works as audio comes instead of all at the end.
        decoder = Decoder(lm=None, dict=str(dictionary), loglevel="FATAL", fwdtree=False)
        unknown = [word for word in grammar.words if decoder.lookup_word(word) is None]
        if unknown:
            raise InvalidConfig("grammar", f"no pronunciation is known for {', '.join(unknown)}")
        decoder.add_jsgf_string("grammar", grammar.jsgf())
        decoder.add_lm_file("words", str(model))
    return decoder


def _pronunciations(dictionary: Path, words: Collection[str]) -> str:
    """The dictionary's lines of these words and of their variants, "word(2)": with all 135,000 the model would take a second to load."""
    with dictionary.open(encoding="utf-8") as lines:
        return "".join(line for line in lines if line.split(maxsplit=1)[0].partition("(")[0] in words)


def _speech(samples: "array[int]") -> "array[int]":
    """The audio from its first sound to its last, and 50 ms around it; empty if there is none.

    With the same short silence around every utterance the decoder neither misses its first sound nor takes silence for the character
    of the line.
    """
    windows = [samples[start : start + _WINDOW_SAMPLES] for start in range(0, len(samples), _WINDOW_SAMPLES)]
    peaks = [max(map(abs, window)) for window in windows]
    threshold = max(_SILENCE, *(peak / _QUIET for peak in peaks))
    loud = [number for number, peak in enumerate(peaks) if peak > threshold]
    if not loud:
        return array("h")
    first, last = max(0, loud[0] - _KEPT_WINDOWS), loud[-1] + 1 + _KEPT_WINDOWS
    return samples[first * _WINDOW_SAMPLES : last * _WINDOW_SAMPLES]


def _dithered(samples: "array[int]") -> bytes:
    """The audio with a trace of noise: digital silence wrecks the decoder. The same audio always gets the same noise."""
    noise = random.Random(_DITHER_SEED)  # noqa: S311
    return array(
        "h", (max(-32768, min(32767, sample + int(noise.random() * (2 * _DITHER + 1)) - _DITHER)) for sample in samples)
    ).tobytes()


def _agree(first: Sequence[str], second: Sequence[str], essential: Sequence[str]) -> bool:
    """Whether both passes heard the same: every word of a slot, and in order at least half of the words of the longer one."""
    found = _common_in_order(first, second)
    return set(essential) <= set(second) and 2 * found >= max(len(first), len(second))


def _common_in_order(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        above_left = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = above_left + 1 if word == other else max(above, row[column - 1])
            above_left = above
    return row[-1]
