"""The figures of one call."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import fmean, quantiles
from typing import Any

from trunkline.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The figures of a call, so far or, once it is over, for good. Names are those of the gateway's documents.

    Latencies are means over the turns, in milliseconds, 0 where there was none. In realtime mode the model does the listening and the
    speaking: `avg_stt_latency_ms` is how long the user's words came after the end of their speech, `avg_llm_latency_ms` the time from that
    end to the first audio of the answer, `avg_tts_latency_ms` from there to its first frame at the carrier, and `avg_total_latency_ms` from
    the end of the user's speech, as the provider reported it, to that frame.
    """

    session_duration_ms: int = 0
    turn_count: int = 0
    user_turn_count: int = 0
    agent_turn_count: int = 0
    user_speech_duration_ms: int = 0
    agent_speech_duration_ms: int = 0
    avg_stt_latency_ms: int = 0
    avg_llm_latency_ms: int = 0
    avg_tts_latency_ms: int = 0
    avg_total_latency_ms: int = 0
    p50_total_latency_ms: int = 0
    p95_total_latency_ms: int = 0
    interruption_count: int = 0
    tool_call_count: int = 0
    error_count: int = 0
    audio_bytes_received: int = 0
    audio_bytes_sent: int = 0
    audio_bytes_dropped: int = 0

    @property
    def duration(self) -> timedelta:
        """How long the call took."""
        return timedelta(milliseconds=self.session_duration_ms)

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)


class MetricsCollector:
    """Counts while a call runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._ended: float | None = None
        self._user_stopped: float | None = None
        self._words_due: dict[str, float] = {}
        self._answered: float | None = None
        self._transcript_ms: list[float] = []
        self._first_audio_ms: list[float] = []
        self._playout_ms: list[float] = []
        self._total_ms: list[float] = []
        self.user_turns = 0
        self.agent_turns = 0
        self.user_speech_ms = 0
        self.agent_speech_ms = 0
        self.interruptions = 0
        self.tool_calls = 0
        self.errors = 0
        self.bytes_received = 0

    def user_stopped(self, item_id: str, speech_ms: int) -> None:
        """The user's speech ended, after so many milliseconds of it."""
        self._user_stopped = self._words_due[item_id] = self._clock.now()
        self._answered = None
        self.user_turns += 1
        self.user_speech_ms += speech_ms

    def user_words(self, item_id: str) -> None:
        """The user's final words arrived."""
        if item_id in self._words_due:
            self._transcript_ms.append(self._ms_since(self._words_due.pop(item_id)))

    def answer_received(self) -> None:
        """Audio of an answer came from the provider."""
        if self._user_stopped is not None and self._answered is None:
            self._answered = self._clock.now()
            self._first_audio_ms.append(self._ms_since(self._user_stopped))

    def answer_sent(self) -> int | None:
        """An answer's first frame went to the carrier; returns the turn's latency in milliseconds, None if it answers nothing."""
        self.agent_turns += 1
        if self._user_stopped is None or self._answered is None:
            return None
        latency = self._ms_since(self._user_stopped)
        self._total_ms.append(latency)
        self._playout_ms.append(self._ms_since(self._answered))
        self._user_stopped = self._answered = None
        return round(latency)

    def end(self) -> None:
        """The call is over: its duration stands from now on."""
        if self._ended is None:
            self._ended = self._clock.now()

    def snapshot(self, *, bytes_sent: int, bytes_dropped: int) -> Metrics:
        """The figures so far."""
        end = self._clock.now() if self._ended is None else self._ended
        return Metrics(
            session_duration_ms=round((end - self._began) * 1000),
            turn_count=self.user_turns + self.agent_turns,
            user_turn_count=self.user_turns,
            agent_turn_count=self.agent_turns,
            user_speech_duration_ms=self.user_speech_ms,
            agent_speech_duration_ms=self.agent_speech_ms,
            avg_stt_latency_ms=_mean(self._transcript_ms),
            avg_llm_latency_ms=_mean(self._first_audio_ms),
            avg_tts_latency_ms=_mean(self._playout_ms),
            avg_total_latency_ms=_mean(self._total_ms),
            p50_total_latency_ms=_percentile(self._total_ms, 50),
            p95_total_latency_ms=_percentile(self._total_ms, 95),
            interruption_count=self.interruptions,
            tool_call_count=self.tool_calls,
            error_count=self.errors,
            audio_bytes_received=self.bytes_received,
            audio_bytes_sent=bytes_sent,
            audio_bytes_dropped=bytes_dropped,
        )

    def _ms_since(self, moment: float) -> float:
        return (self._clock.now() - moment) * 1000


def _mean(values: list[float]) -> int:
    return round(fmean(values)) if values else 0


def _percentile(values: list[float], percent: int) -> int:
    if len(values) < 2:
        return _mean(values)
    return round(quantiles(values, n=100, method="inclusive")[percent - 1])
