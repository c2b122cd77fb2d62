"""A stop for a model that calls tools in a circle and says nothing to the caller."""

from trunkline.errors import InvalidConfig

TOO_MANY_CALLS = "too many tool calls in a row; answer the caller with what you know"


class LoopBreaker:
    """Counts the rounds of tool calls since the user last spoke; more than `limit` are one too many.

    The calls of one response are one round; a call of an unnamed response is a round of its own.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise InvalidConfig("max_rounds", f"must be at least 1, got {limit!r}")
        self._limit = limit
        self._round = ""
        self.rounds = 0

    def begin(self, response_id: str) -> bool:
        """A call begins; tells whether it may run."""
        if not response_id or response_id != self._round:
            self.rounds += 1
            self._round = response_id
        return self.rounds <= self._limit

    def reset(self) -> None:
        """The user spoke."""
        self._round = ""
        self.rounds = 0
