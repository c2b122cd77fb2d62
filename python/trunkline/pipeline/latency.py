"""Where the milliseconds of a reply went: one receipt for each turn of the agent that answers the caller."""

from dataclasses import asdict, dataclass, replace

from trunkline.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReceipt:
    """Milliseconds from the end of the caller's speech, as the provider reported it, to each station of the answer.

    Attributes:
        item_id: The answer.
        provider_ms: To the first audio from the provider.
        playout_ms: To the first frame sent to the carrier: what the caller waited, but for the line.
        mark_ms: To the first mark that the carrier returned for it; None if none came.
        converter_ms: The group delay of the converters, both ways together; part of the above.
    """

    item_id: str
    provider_ms: int
    playout_ms: int
    mark_ms: int | None = None
    converter_ms: float = 0.0

    def to_json(self) -> dict[str, object]:
        """The receipt by name."""
        return asdict(self)


class ReceiptBook:
    """Writes the receipts of one call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_at: float | None = None
        self._answered_at: float | None = None
        self._waiting_for_mark: LatencyReceipt | None = None
        self._mark_from = 0.0
        self._receipts: list[LatencyReceipt] = []
        self.converter_ms = 0.0

    @property
    def receipts(self) -> tuple[LatencyReceipt, ...]:
        """All receipts so far, in order."""
        waiting = self._waiting_for_mark
        return (*self._receipts, waiting) if waiting else tuple(self._receipts)

    def caller_stopped(self) -> None:
        """The caller has asked."""
        self._asked_at = self._clock.now()
        self._answered_at = None

    def audio_received(self) -> None:
        """Audio came from the provider."""
        if self._asked_at is not None and self._answered_at is None:
            self._answered_at = self._clock.now()

    def audio_sent(self, item_id: str) -> LatencyReceipt | None:
        """The first frame of an answer went to the carrier; its receipt so far, None if it answers nothing."""
        asked, answered = self._asked_at, self._answered_at
        if asked is None or answered is None:
            return None
        self._asked_at = self._answered_at = None
        self._file()
        self._mark_from = asked
        self._waiting_for_mark = LatencyReceipt(
            item_id=item_id,
            provider_ms=round((answered - asked) * 1000),
            playout_ms=round((self._clock.now() - asked) * 1000),
            converter_ms=self.converter_ms,
        )
        return self._waiting_for_mark

    def mark_returned(self) -> None:
        """The carrier confirmed audio."""
        waiting = self._waiting_for_mark
        if waiting is not None:
            mark_ms = round((self._clock.now() - self._mark_from) * 1000)
            self._receipts.append(replace(waiting, mark_ms=mark_ms))
            self._waiting_for_mark = None

    def _file(self) -> None:
        if self._waiting_for_mark is not None:
            self._receipts.append(self._waiting_for_mark)
            self._waiting_for_mark = None
