"""Sessions with engines that take whole utterances: the local detector cuts the audio, and one after the other is transcribed.

caller's audio ──▶ detector ──▶ utterance, with the moment before it ──▶ transcriber ──▶ final transcript
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from trunkline.audio import AudioFormat
from trunkline.audio.local_vad import LocalVad
from trunkline.audio.vad import EnergyDetector, VoiceActivityDetector
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig, ProviderError, SessionClosed, TrunklineError
from trunkline.stt.event_queue import EventQueue
from trunkline.stt.owned_tasks import owned_tasks
from trunkline.stt.provider import SttCapabilities, Transcriber
from trunkline.stt.streaming import check_mono
from trunkline.wire.stt.events import ErrorReported, SessionEnded, SpeechStarted, SpeechStopped, SttEvent, Transcript

log = logging.getLogger(__name__)

CAPABILITIES = SttCapabilities(streams=False, reports_speech=True, ends_turns=True)
LAST_WORDS_WITHIN = 3.0
"""Seconds for the last utterance when a session is closed."""
WAITING = 8
"""Utterances that may wait for the engine; of more, the oldest go."""

_PIECE_MS = 20  # the detector tells one change for each piece


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceOptions:
    """How the caller's audio is cut into utterances. Times in milliseconds.

    Args:
        detector: Makes the detector of one session, such as `SileroDetector`; by default all that is loud is speech.
        threshold: The probability from which a window is speech.
        pre_roll_ms: Audio kept from before the detected beginning: detectors are late, and first sounds are soft.
        min_speech_ms: How much speech begins an utterance; less is a click.
        hangover_ms: How much silence ends one.
        longest_ms: An utterance that is longer is cut there.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    detector: Callable[[], VoiceActivityDetector] = EnergyDetector
    threshold: float = 0.5
    pre_roll_ms: int = 300
    min_speech_ms: int = 100
    hangover_ms: int = 500
    longest_ms: int = 30_000

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InvalidConfig("threshold", f"must be above 0 and at most 1, got {self.threshold!r}")
        if self.pre_roll_ms < 0:
            raise InvalidConfig("pre_roll_ms", f"must not be negative, got {self.pre_roll_ms!r}")
        for name in ("min_speech_ms", "hangover_ms", "longest_ms"):
            if getattr(self, name) <= 0:
                raise InvalidConfig(name, f"must be above 0, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one person said without a pause; the moments are milliseconds of the session's audio."""

    audio: bytes
    start_ms: int
    end_ms: int


class UtteranceCutter:
    """Cuts one caller's audio. Nothing here waits.

    Args:
        audio_format: The caller's audio.
        options: Where to cut.
    """

    def __init__(self, audio_format: AudioFormat, options: UtteranceOptions) -> None:
        self._format = audio_format
        self._options = options
        self._vad = LocalVad(
            options.detector(),
            audio_format,
            threshold=options.threshold,
            begins_after_ms=options.min_speech_ms,
            ends_after_ms=options.hangover_ms,
        )
        self._held = bytearray()
        self._held_from = 0  # bytes of audio before the held ones
        self._began: int | None = None
        self._piece = audio_format.frame_bytes(_PIECE_MS)

    def feed(self, audio: bytes) -> list[SpeechStarted | SpeechStopped | Utterance]:
        """Take the next audio and tell what was noticed in it, in order."""
        noticed: list[SpeechStarted | SpeechStopped | Utterance] = []
        for start in range(0, len(audio), self._piece):
            piece = audio[start : start + self._piece]
            self._held += piece
            ago_ms = self._vad.feed(piece)
            if ago_ms is not None and self._vad.speaks:
                noticed.append(self._begin(ago_ms))
            elif ago_ms is not None:
                noticed += self._end(ago_ms)
            elif self._began is not None and self._end_ms - self._ms(self._began) >= self._options.longest_ms:
                noticed += self._split()
            if self._began is None:
                self._forget()
        return noticed

    def finish(self) -> list[SpeechStarted | SpeechStopped | Utterance]:
        """End the utterance here, if there is one."""
        if self._began is None:
            return []
        self._vad.speaks, self._vad.against_ms = False, 0
        return self._end(0)

    def _begin(self, ago_ms: int) -> SpeechStarted:
        began_ms = max(0, self._end_ms - ago_ms)
        first = self._bytes(max(0, began_ms - self._options.pre_roll_ms))
        self._began = max(self._held_from, first)
        return SpeechStarted(began_ms)

    def _end(self, ago_ms: int) -> list[SpeechStarted | SpeechStopped | Utterance]:
        stopped_ms = max(0, self._end_ms - ago_ms)
        utterance = self._taken(stopped_ms)
        self._began = None
        return [SpeechStopped(stopped_ms), utterance]

    def _split(self) -> list[SpeechStarted | SpeechStopped | Utterance]:
        """The caller speaks on and on: take what there is, as an utterance without an end of speech."""
        utterance = self._taken(self._end_ms)
        self._began = self._held_from + len(self._held)
        return [utterance]

    def _taken(self, end_ms: int) -> Utterance:
        began = self._held_from if self._began is None else self._began
        audio = bytes(self._held[began - self._held_from :])
        self._held_from += len(self._held)
        self._held.clear()
        return Utterance(audio, self._ms(began), end_ms)

    def _forget(self) -> None:
        """Keep no more than an utterance that begins now needs."""
        kept = self._format.frame_bytes(self._options.pre_roll_ms + self._options.min_speech_ms + 2 * _PIECE_MS)
        if len(self._held) > 2 * kept:
            gone = len(self._held) - kept
            del self._held[:gone]
            self._held_from += gone

    @property
    def _end_ms(self) -> int:
        return self._ms(self._held_from + len(self._held))

    def _ms(self, n_bytes: int) -> int:
        return round(self._format.duration_ms(n_bytes))

    def _bytes(self, ms: int) -> int:
        return self._format.frame_bytes(ms)


@asynccontextmanager
async def utterance_session(
    transcriber: Transcriber,
    audio_format: AudioFormat,
    options: UtteranceOptions,
    *,
    vendor: str,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator["UtteranceSession"]:
    """Open a session with an engine that takes whole utterances; leaving the block closes it.

    Raises:
        InvalidConfig: The audio is not mono.
        MissingExtra: The detector needs one that is not installed.
    """
    check_mono(audio_format)
    cutter = UtteranceCutter(audio_format, options)
    session = UtteranceSession(transcriber, audio_format, cutter, vendor=vendor, clock=clock)
    async with owned_tasks() as tasks:
        session.start(tasks)
        try:
            yield session
        finally:
            await session.aclose()


class UtteranceSession:
    """One caller being heard (`SttSession`); made by `utterance_session`.

    Utterances are transcribed one after the other, so that their words come in order. One that cannot be transcribed is reported, and the
    session goes on, unless the next would fail in the same way.
    """

    def __init__(
        self,
        transcriber: Transcriber,
        audio_format: AudioFormat,
        cutter: UtteranceCutter,
        *,
        vendor: str,
        clock: Clock,
    ) -> None:
        self._transcriber = transcriber
        self._format = audio_format
        self._cutter = cutter
        self._vendor = vendor
        self._clock = clock
        self._queue = EventQueue()
        self._waiting: deque[Utterance] = deque()
        self._came = anyio.Event()
        self._closing = False
        self._over = anyio.Event()

    def start(self, tasks: TaskGroup) -> None:
        """Transcribe in `tasks` until the session is closed."""
        tasks.start_soon(self._transcribe)

    @property
    def capabilities(self) -> SttCapabilities:
        """What this session can do."""
        return CAPABILITIES

    @property
    def input_format(self) -> AudioFormat:
        """What `send_audio` takes."""
        return self._format

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self

    async def __anext__(self) -> SttEvent:
        return await self._queue.get()

    async def send_audio(self, audio: bytes) -> None:
        """Let the detector hear the next audio.

        Raises:
            SessionClosed: The session is over.
        """
        self._check_open()
        self._take(self._cutter.feed(audio))

    async def finalize(self) -> None:
        """Take what is being said now for an utterance.

        Raises:
            SessionClosed: The session is over.
        """
        self._check_open()
        self._take(self._cutter.finish())

    def _check_open(self) -> None:
        if self._closing or self._queue.is_over:
            raise SessionClosed(vendor=self._vendor)

    def _take(self, noticed: list[SpeechStarted | SpeechStopped | Utterance]) -> None:
        for moment in noticed:
            if not isinstance(moment, Utterance):
                self._queue.put([moment])
                continue
            self._waiting.append(moment)
            if len(self._waiting) > WAITING:
                self._waiting.popleft()
                late = ProviderError(
                    "the engine is too slow: an utterance was dropped", "too_slow", vendor=self._vendor
                )
                self._queue.put([ErrorReported(late)])
            self._came.set()

    async def _transcribe(self) -> None:
        failure: ProviderError | None = None
        try:
            while failure is None and not (self._closing and not self._waiting):
                if not self._waiting:
                    self._came = anyio.Event()
                    await self._came.wait()
                    continue
                failure = await self._transcribe_one(self._waiting.popleft())
        finally:  # also where the program is cancelled: whoever closes the session waits for this
            if failure is not None:
                self._queue.put([ErrorReported(failure, fatal=True), SessionEnded("failed", failure)])
            self._queue.put([SessionEnded("closed")])
            self._over.set()

    async def _transcribe_one(self, utterance: Utterance) -> ProviderError | None:
        """Put the words of an utterance into the queue; returns the error after which there is no use in trying another."""
        try:
            heard = await self._transcriber.transcribe(utterance.audio, self._format)
        except Exception as error:  # noqa: BLE001 - an engine may be anybody's; whoever reads the session is told
            failure = self._as_provider_error(error)
            if failure.is_permanent:
                return failure
            self._queue.put([ErrorReported(failure)])
            return None
        if heard.text:
            self._queue.put(
                [
                    Transcript(
                        text=heard.text,
                        is_final=True,
                        confidence=heard.confidence,
                        start_ms=utterance.start_ms,
                        end_ms=utterance.end_ms,
                        language=heard.language,
                    )
                ]
            )
        return None

    def _as_provider_error(self, error: Exception) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        if not isinstance(error, TrunklineError):
            log.error("%s failed to transcribe", self._vendor, exc_info=error)
        failure = ProviderError(str(error) or type(error).__name__, vendor=self._vendor)
        failure.__cause__ = error
        return failure

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. The last words come, then `SessionEnded("closed")`."""
        if not self._closing:
            self._take(self._cutter.finish())
            self._closing = True
            self._came.set()
        with self._clock.move_on_after(LAST_WORDS_WITHIN, shield=True):
            await self._over.wait()
        self._queue.put([SessionEnded("closed")])
