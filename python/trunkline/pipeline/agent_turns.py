"""The agent's answers: their audio to the caller, their words to the transcript, and the two held against each other."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import cast

import anyio

from trunkline.clock import Clock
from trunkline.conversation import SpokenText
from trunkline.errors import ProviderError
from trunkline.pipeline.config import BridgeConfig
from trunkline.pipeline.convert import StreamingConverter, converter_between
from trunkline.pipeline.events import EventLog, EventType
from trunkline.pipeline.ledger import Cut
from trunkline.pipeline.metrics import MetricsCollector
from trunkline.pipeline.observer import MediaTap
from trunkline.pipeline.playout import OutgoingMedia, Playout, PlayoutListener
from trunkline.pipeline.transcript import TranscriptBuilder
from trunkline.realtime.events import AgentTranscript, AudioReceived, ResponseFinished
from trunkline.realtime.provider import RealtimeSession

NO_AUDIO = "no_audio"
"""The code of the error that tells of words which no audio came for."""


MOST_FAILURES = 3
"""How many answers in a row may fail, each in a way that may pass, before the call is given up."""


@dataclass(slots=True)
class _Item:
    """One item of an answer."""

    response_id: str
    speech: SpokenText
    generated: int = 0
    has_words: bool = False
    ended: bool = False
    """Nothing more of it is played: it is complete, or was cut."""


class AgentTurns:
    """Plays the answers of one call and tells of them: in the transcript, the events and the figures.

    Args:
        line: The call's outgoing line.
        config: The bridge's.
        transcript: Where the answers are noted.
        log: Where events go.
        metrics: Where figures go.
        tap: Is shown what goes to the carrier.
        on_answer: Called when the first audio of an answer has come.
        on_stop: Called when the caller has heard what `stop_after` of the playout named.
        clock: What everything is timed by.

    Attributes:
        response_id: The answer that the model is making, "" if there is none.
        is_failing: No more answers are to be hoped for: the last one failed for good, or too many in a row failed.
        converter_ms: The delay of the conversion to the line's format.
    """

    def __init__(
        self,
        *,
        line: OutgoingMedia,
        config: BridgeConfig,
        transcript: TranscriptBuilder,
        log: EventLog,
        metrics: MetricsCollector,
        tap: MediaTap | None,
        on_answer: Callable[[], None],
        on_stop: Callable[[], None],
        clock: Clock,
    ) -> None:
        # The playout knows its owner weakly, so that an ended call leaves no circle to the collector.
        self.playout = Playout(line, cast("PlayoutListener", weakref.proxy(self)), clock=clock, lead_ms=config.lead_ms)
        self.response_id = ""
        self.is_failing = False
        self.converter_ms = 0.0
        self._config = config
        self._transcript = transcript
        self._log = log
        self._metrics = metrics
        self._latency = metrics.latency
        self._tap = tap
        self._on_answer = on_answer
        self._on_stop = on_stop
        self._clock = clock
        self._line_format = line.traits.format
        self._converter: StreamingConverter | None = None
        self._bytes_per_ms = 1.0
        self._heard_response = ""
        """The answer that audio came of last."""
        self._silenced: set[str] = set()
        self._items: dict[str, _Item] = {}
        self._speaking_item: dict[str, str] = {}
        """The item of each running answer that audio comes of."""
        self._failures = 0
        self._quiet = anyio.Event()
        self._awaited = 0
        """Sentences that the session was asked to say, and has not begun with."""
        self._own_ids = count(1)
        self._is_over = False

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, session: RealtimeSession) -> float:
        """Convert from this session's format from now on; returns the delay of the conversion, in milliseconds."""
        for response_id in list(self._speaking_item):
            self._finish_item(response_id)
        self._bytes_per_ms = session.output_format.bytes_per_ms
        self._converter = converter_between(session.output_format, self._line_format, self._config.new_converter())
        self.converter_ms = 0.0 if self._converter is None else self._converter.delay_ms
        return self.converter_ms

    def started(self, response_id: str) -> None:
        """The model begins an answer."""
        self.response_id = response_id
        self._awaited = max(0, self._awaited - 1)
        self._latency.response_started()
        self._log.emit(EventType.AGENT_THINKING, response_id=response_id)

    def play(self, event: AudioReceived) -> None:
        """Audio of an answer came."""
        if event.response_id in self._silenced:
            return
        item_id = event.item_id
        item = self._items.get(item_id) or self._item(item_id, event.response_id)
        if item.ended:
            return
        if event.response_id != self._heard_response:
            self._heard_response = event.response_id
            self._on_answer()
            self._latency.first_audio(item_id)
        previous = self._speaking_item.get(event.response_id)
        if previous != item_id:
            if previous is not None:
                self._finish_item(event.response_id)
            self._speaking_item[event.response_id] = item_id
        item.generated += len(event.audio)
        item.speech.add_audio(int(item.generated / self._bytes_per_ms))
        self.playout.write(item_id, self._converter.convert(event.audio) if self._converter else event.audio)

    def said(self, event: AgentTranscript) -> None:
        """Words of an answer came."""
        if event.response_id in self._silenced and event.item_id not in self._items:
            return  # words of an answer that nobody will hear
        item = self._item(event.item_id, event.response_id)
        item.has_words = True
        item.speech.add_text(event.text, is_final=event.is_final)
        self._log.emit(EventType.AGENT_TRANSCRIPT, text=event.text, is_final=event.is_final, item_id=event.item_id)

    def answered(self, event: ResponseFinished) -> None:
        """The answer is over; words of it that no audio came for were not heard."""
        self._finish_item(event.response_id)
        if self._unspoken(event.response_id) and event.response_id not in self._silenced:
            self._log.report(
                ProviderError("words of an answer came without audio, so the caller did not hear them", NO_AUDIO)
            )
        self._silenced.discard(event.response_id)
        if self.response_id == event.response_id:
            self.response_id = ""
        if event.error is not None:
            self._log.report(event.error)
        self._failures = self._failures + 1 if event.status == "failed" else 0
        is_permanent = event.status == "failed" and event.error is not None and event.error.is_permanent
        self.is_failing = is_permanent or self._failures >= MOST_FAILURES
        self._quiet.set()

    def is_playing(self, response_id: str) -> bool:
        """Whether this answer is being made, or heard."""
        playing = self._items.get(self.playout.current_item)
        return response_id == self.response_id or (playing is not None and playing.response_id == response_id)

    def silence(self) -> None:
        """Nothing more of the running answer is played."""
        if self.response_id:
            self._silenced.add(self.response_id)
            self._unspoken(self.response_id)

    def stop(self) -> list[tuple[Cut, str]]:
        """Empty the line; returns the items that were cut short, each with the words that were heard of it."""
        cuts = self.playout.interrupt()
        self._latency.interrupted()
        if self._converter is not None:
            self._converter.reset()
        heard = []
        for cut in cuts:
            self._items[cut.item_id].ended = True
            if cut.complete:
                self.agent_heard(cut.item_id)
            else:
                heard.append((cut, self._transcript.cut(cut.item_id, cut.heard_ms)))
                self._metrics.agent_speech_ms += cut.heard_ms
        self._quiet.set()
        return heard

    def end(self) -> None:
        """The call is over: of what was being said, only what was heard stays in the transcript."""
        self.stop()
        self._is_over = True
        self._awaited = 0
        self._quiet.set()
        for response_id in {item.response_id for item in self._items.values() if not item.generated}:
            self._unspoken(response_id)
        self.response_id = ""

    @property
    def is_quiet(self) -> bool:
        """Whether the agent has nothing to say, and all that it said was heard."""
        return not (self.playout.speaking or self.response_id or self._awaited)

    async def wait_quiet(self) -> None:
        """Wait until the agent has nothing to say and all of it was heard, or the call is over."""
        while not self.is_quiet:
            await self._wait_change()

    async def play_audio(self, audio: bytes) -> None:
        """Play audio of the line's format that is no answer, behind what is being said; returns when it was heard, or cut."""
        item_id = f"played-{next(self._own_ids)}"
        item = self._item(item_id, "")
        item.generated = len(audio)
        self.playout.write(item_id, audio)
        self.playout.finish(item_id)
        while not item.ended and not self._is_over:
            await self._wait_change()

    def expect(self) -> None:
        """The session is asked to say something: the agent is not quiet before that was heard."""
        self._awaited += 1

    def expect_nothing(self) -> None:
        """The session failed to do what it was asked."""
        self._awaited = 0
        self._quiet.set()

    # ── what playout tells ───────────────────────────────────────────────────────────────────────────────────────────

    def agent_started(self, item_id: str) -> None:
        """The first frame of an item was sent."""
        self._metrics.agent_turns += 1
        latency_ms = self._latency.first_sent(item_id)
        self._log.emit(EventType.AGENT_SPEECH_START, item_id=item_id, latency_ms=latency_ms)

    def agent_heard(self, item_id: str) -> None:
        """The caller has heard the last of an item."""
        self._items[item_id].ended = True
        heard_ms = self.playout.heard_ms(item_id)
        self._metrics.agent_speech_ms += heard_ms
        self._log.emit(EventType.AGENT_SPEECH_END, item_id=item_id, heard_ms=heard_ms)
        self._quiet.set()

    def mark_returned(self) -> None:
        """The carrier confirmed audio."""
        self._latency.mark_returned()

    def audio_sent(self, payload: bytes, begins: float) -> None:
        """A message of audio goes to the carrier."""
        self._log.sent.messages += 1
        self._log.sent.size += len(payload)
        if self._log.audio_wanted:
            self._log.audio_passed()
        if self._tap is not None:
            self._tap.goes(payload, begins)

    def audio_cut(self, size: int) -> None:
        """What went to the carrier last will not be heard."""
        if self._tap is not None:
            self._tap.cut(size)

    def stop_reached(self) -> None:
        """What the agent was to finish was heard."""
        self._on_stop()

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wait_change(self) -> None:
        self._quiet = anyio.Event()
        await self._quiet.wait()

    def _item(self, item_id: str, response_id: str) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            speech = self._transcript.begin("agent", item_id, self._clock.wall())
            item = self._items[item_id] = _Item(response_id, speech)
        return item

    def _finish_item(self, response_id: str) -> None:
        item_id = self._speaking_item.pop(response_id, None)
        if item_id is None:
            return
        if self._converter is not None:
            tail = self._converter.flush()
            if response_id not in self._silenced:
                self.playout.write(item_id, tail)
        self.playout.finish(item_id)
        self._items[item_id].ended = True

    def _unspoken(self, response_id: str) -> bool:
        """Take the words that no audio came for out of the transcript; tells whether there were any."""
        found = False
        for item_id, item in self._items.items():
            if item.response_id == response_id and item.has_words and not (item.generated or item.speech.is_cut):
                self._transcript.cut(item_id, 0)
                found = True
        return found
