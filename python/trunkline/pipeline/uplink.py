"""The caller's audio on its way to the session: a bounded queue, conversion, and silence where the line sends none."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

import anyio

from trunkline.audio import AudioConverter, AudioFormat
from trunkline.audio.local_vad import LocalVad
from trunkline.clock import Clock
from trunkline.errors import SessionClosed
from trunkline.pipeline.convert import StreamingConverter, converter_between
from trunkline.pipeline.events import EventLog
from trunkline.pipeline.observer import MediaTap
from trunkline.realtime.provider import RealtimeSession

SILENT_AFTER = 0.5
"""Seconds without a frame after which the line is taken to send nothing while the caller is silent."""
SILENCE_EVERY = 0.2
"""Seconds of silence that are then given at a time."""
STALLED = 0.1
"""Seconds: where the program itself is later than that, frames may be waiting unread, and nothing can be said about the line."""
GAP_MS = 100
"""A gap in the carrier's timestamps that is longer than this, in milliseconds, is filled."""
LONGEST_GAP_MS = 30_000
"""Of a longer gap, which may be a mistake of the carrier's, no more than this is filled, in milliseconds."""


class Uplink:
    """Passes the caller's audio on.

    `push` never waits, so that a session which takes no data does not keep marks, keys and the end of the call from whoever reads the line:
    beyond `buffer_size` pieces the oldest go. What piled up while the session was busy goes in one message.

    Args:
        line_format: The format of the caller's audio.
        buffer_size: How many pieces wait at most.
        log: Where the audio is counted.
        on_speech: Told whether the caller speaks now, and since how many milliseconds, when the local detector noticed a change.
        tap: Is shown the audio as it came.
        clock: What everything is timed by.

    Attributes:
        muted_for: Why the session hears silence in place of the caller; empty while it hears them.
        vad: Listens to the audio, where it is not None.
        dropped_bytes: What there was no room for.
        sent_bytes: What the session was given, in bytes of `line_format`, with the silence that was put in.
        delay_ms: How long the last message had waited, with the delay of the converter.
        delay_max_ms: The longest of these, and `delay_mean_ms` their mean.
    """

    def __init__(
        self,
        line_format: AudioFormat,
        *,
        buffer_size: int,
        log: EventLog,
        on_speech: Callable[[bool, int], None],
        tap: MediaTap | None,
        clock: Clock,
    ) -> None:
        self.line_format = line_format
        self.vad: LocalVad | None = None
        self.muted_for: set[str] = set()
        self.dropped_bytes = 0
        self.sent_bytes = 0
        self.delay_ms = self.delay_max_ms = 0.0
        self._total_ms = 0.0
        self._messages = 0
        self._bytes_per_ms = line_format.bytes_per_ms
        self._buffer_size = buffer_size
        self._log = log
        self._on_speech = on_speech
        self._tap = tap
        self._clock = clock
        self._converter: StreamingConverter | None = None
        self._converter_ms = 0.0
        self._queue: deque[bytes] = deque()
        self._since = 0.0
        """Since when the oldest piece waits."""
        self._news = anyio.Event()
        self._first = anyio.Event()
        self._last_at = 0.0
        """When the last frame came, or silence was put in its place."""
        self._lasts_until = 0.0
        """When what came so far would be over if it is spoken without a gap: later than now where a program gives much at once."""
        self._next_ms: float | None = None
        """The carrier's timestamp that would follow without a gap."""
        self._filled_ms = 0.0
        """Silence that was put in since the last frame."""

    @property
    def delay_mean_ms(self) -> float:
        """What was added to the caller's audio, in the mean."""
        return self._total_ms / self._messages if self._messages else 0.0

    @property
    def sent_ms(self) -> float:
        """How much audio the session was given."""
        return self.sent_bytes / self._bytes_per_ms

    def push(self, audio: bytes, timestamp_ms: int | None = None) -> None:
        """Take audio of the caller; `timestamp_ms` is the carrier's, where it has one. The bytes are copied unless they are `bytes`."""
        if type(audio) is not bytes:
            audio = memoryview(audio).tobytes()
        received = self._log.received
        received.messages += 1
        received.size += len(audio)
        if self._log.audio_wanted:
            self._log.audio_passed()
        if self._tap is not None:
            self._tap.came(audio, timestamp_ms)
        if self.muted_for:
            audio = self.line_format.silence(len(audio) / self._bytes_per_ms)
        if timestamp_ms is not None:
            if self._next_ms is not None and (gap_ms := timestamp_ms - self._next_ms) > GAP_MS:
                self._fill(min(gap_ms, LONGEST_GAP_MS) - self._filled_ms)
            self._next_ms = timestamp_ms + len(audio) / self._bytes_per_ms
        self._filled_ms = 0.0
        self._last_at = now = self._clock.now()
        if not self._first.is_set():
            self._first.set()
            self._lasts_until = now
        self._take(audio, now)

    def listen(self, vad: LocalVad | None) -> None:
        """Let this detector listen from now on, also to what waits; None for nobody, which ends speech that was noticed."""
        if self.vad is not None and self.vad.speaks:
            self._on_speech(False, 0)
        self.vad = vad
        if vad is not None:
            for audio in self._queue:
                self._notice(vad, audio)

    def settle_speech(self) -> None:
        """An answer begins: if the caller has paused, they have finished."""
        if self.vad is not None and (ago_ms := self.vad.stop()) is not None:
            self._on_speech(False, ago_ms)

    def use(self, session: RealtimeSession, converter: AudioConverter | None) -> float:
        """Convert to this session's format from now on; returns the delay of the conversion, in milliseconds."""
        self._converter = converter_between(self.line_format, session.input_format, converter)
        self._converter_ms = 0.0 if self._converter is None else self._converter.delay_ms
        return self._converter_ms

    async def run(self, session: RealtimeSession) -> None:
        """Send until cancelled, or until the session is over: its own last events tell why."""
        self._since = self._clock.now()  # what waited for the session to be opened is not late
        with suppress(SessionClosed):
            while True:
                if not self._queue:
                    self._news = anyio.Event()
                    await self._news.wait()
                    continue
                audio = b"".join(self._queue) if len(self._queue) > 1 else self._queue[0]
                self._queue.clear()
                self.delay_ms = delay_ms = (self._clock.now() - self._since) * 1000 + self._converter_ms
                self.delay_max_ms = max(self.delay_max_ms, delay_ms)
                self._total_ms += delay_ms
                self._messages += 1
                self.sent_bytes += len(audio)
                await session.send_audio(self._converter.convert(audio) if self._converter else audio)

    async def fill_silence(self) -> None:
        """Where frames stop coming, give silence in their place, so that the vendor notices the end of a turn; for ever."""
        await self._first.wait()
        wait = SILENT_AFTER
        while True:
            began = max(self._last_at, self._lasts_until)
            await self._clock.sleep_until(began + wait)
            now = self._clock.now()
            if max(self._last_at, self._lasts_until) > began:
                wait = SILENT_AFTER
            elif now - began - wait > STALLED:
                self._last_at = now
            else:
                self._fill((now - began) * 1000)
                self._last_at = self._lasts_until = now
                wait = SILENCE_EVERY

    def _fill(self, duration_ms: float) -> None:
        if duration_ms > 0 and (silence := self.line_format.silence(duration_ms)):
            self._filled_ms += duration_ms
            self._take(silence, self._clock.now())

    def _take(self, audio: bytes, now: float) -> None:
        self._lasts_until += len(audio) / self._bytes_per_ms / 1000
        if not self._queue:
            self._since = now
            self._news.set()
        elif len(self._queue) >= self._buffer_size:
            self.dropped_bytes += len(self._queue.popleft())
        self._queue.append(audio)
        if self.vad is not None:
            self._notice(self.vad, audio)

    def _notice(self, vad: LocalVad, audio: bytes) -> None:
        if (ago_ms := vad.feed(audio)) is not None:
            self._on_speech(vad.speaks, ago_ms)
