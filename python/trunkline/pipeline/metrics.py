"""The figures of one call."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from statistics import fmean, quantiles
from typing import Any

from trunkline.clock import Clock
from trunkline.pipeline.latency import LatencyTracker, TurnLatency
from trunkline.tools import ToolCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The figures of a call, so far or, once it is over, for good. Names are those of the gateway's documents.

    Latencies are means over the answers to the caller's speech, in milliseconds, 0 where there was none. In realtime mode the model
    does the listening and the speaking: `avg_stt_latency_ms` is how long the user's words came after the end of their speech,
    `avg_llm_latency_ms` the time from that end to the first audio of the answer, `avg_tts_latency_ms` from there to its first frame at the
    carrier, and `avg_total_latency_ms` from the end of the user's speech to that frame. `receipts` tells the same of each answer, and of
    the greeting and answers to text too.

    Attributes:
        audio_bytes_dropped: Audio of either side that this program or the provider's session had no room for.
        uplink_delay_ms: What is added to the caller's audio here, in the mean: its wait and the delay of the converter.
        uplink_delay_max_ms: The longest that was added.
        downlink_delay_ms: What is added to the agent's first audio, in the mean: its wait and the delay of the converter.
        playout_late_ms: How much too late playout woke up at worst: a stall of this program, heard only if it is longer than what the
            carrier then held.
        events_dropped: Pieces of transcripts that the event log had no room for.
        tools: What became of the tool calls.
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
    uplink_delay_ms: float = 0.0
    uplink_delay_max_ms: float = 0.0
    downlink_delay_ms: float = 0.0
    playout_late_ms: int = 0
    events_dropped: int = 0
    tools: ToolCounters = field(default_factory=ToolCounters)
    receipts: tuple[TurnLatency, ...] = ()

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
        self._words_due: dict[str, float] = {}
        self._transcript_ms: list[float] = []
        self.latency = LatencyTracker(clock)
        self.user_turns = 0
        self.agent_turns = 0
        self.user_speech_ms = 0
        self.agent_speech_ms = 0
        self.interruptions = 0
        self.tool_calls = 0

    def user_stopped(self, item_id: str, speech_ms: int) -> None:
        """The user's speech ended, after so many milliseconds of it."""
        self._words_due[item_id] = self._clock.now()
        self.user_turns += 1
        self.user_speech_ms += speech_ms

    def user_words(self, item_id: str) -> None:
        """The user's final words arrived."""
        if item_id in self._words_due:
            self._transcript_ms.append((self._clock.now() - self._words_due.pop(item_id)) * 1000)

    def end(self) -> None:
        """The call is over: its duration stands from now on."""
        if self._ended is None:
            self._ended = self._clock.now()

    def snapshot(self, *, converter_down_ms: float, **counted: Any) -> Metrics:
        """The figures so far.

        Args:
            converter_down_ms: The delay of the converter towards the caller.
            counted: Figures that others count, by their names.
        """
        end = self._clock.now() if self._ended is None else self._ended
        receipts = self.latency.receipts
        spoken = [receipt for receipt in receipts if receipt.trigger == "speech"]
        total = [receipt.playout_ms for receipt in spoken]
        waits = [receipt.playout_ms - receipt.provider_ms for receipt in receipts]
        return Metrics(
            session_duration_ms=round((end - self._began) * 1000),
            turn_count=self.user_turns + self.agent_turns,
            user_turn_count=self.user_turns,
            agent_turn_count=self.agent_turns,
            user_speech_duration_ms=self.user_speech_ms,
            agent_speech_duration_ms=self.agent_speech_ms,
            avg_stt_latency_ms=_mean(self._transcript_ms),
            avg_llm_latency_ms=_mean([receipt.provider_ms for receipt in spoken]),
            avg_tts_latency_ms=_mean([receipt.playout_ms - receipt.provider_ms for receipt in spoken]),
            avg_total_latency_ms=_mean(total),
            p50_total_latency_ms=_percentile(total, 50),
            p95_total_latency_ms=_percentile(total, 95),
            interruption_count=self.interruptions,
            tool_call_count=self.tool_calls,
            downlink_delay_ms=converter_down_ms + (fmean(waits) if waits else 0.0),
            receipts=receipts,
            **counted,
        )


def _mean(values: Sequence[float]) -> int:
    return round(fmean(values)) if values else 0


def _percentile(values: Sequence[float], percent: int) -> int:
    if len(values) < 2:
        return _mean(values)
    return round(quantiles(values, n=100, method="inclusive")[percent - 1])
