"""When a vendor that says nothing has died, and when there is merely nothing to say."""

import math
from dataclasses import dataclass

from trunkline.errors import InvalidConfig
from trunkline.realtime.reconnect.turn_state import TurnState


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """Tells when a session is frozen: the connection stands, and what must come does not.

    A quiet call is not a frozen one. So silence counts only while something is due, which is one of:

    1. An answer runs, and neither its end nor anything else of it came. Counted from when the audio received so far has been played, as
       some vendors end an answer only then, and not while a tool works.
    2. An answer was asked for and did not begin. Not while the user speaks or a tool works: then it has to wait; and not if an
       error came since, as that may have been its refusal.
    3. The user's turn ended, and not even a transcript came, from a vendor that has followed up a turn by itself before.
    4. The user began to speak, and the end of it was not told although the audio sent since has long been silent.

    Nothing is ever due of a caller who says nothing, of manual turns until an answer is asked for, or of a call on hold.

    Args:
        patience: Seconds of silence after which what is due is overdue.

    Raises:
        InvalidConfig: It is not above 0.
    """

    patience: float = 15.0

    def __post_init__(self) -> None:
        if not self.patience > 0:
            raise InvalidConfig("patience", f"must be above 0, got {self.patience!r}")

    def frozen_from(self, turns: TurnState, *, silent_ms: float) -> float:
        """When the session counts as frozen, if nothing comes until then; infinity if nothing is due.

        Args:
            turns: Whose turn it is.
            silent_ms: Milliseconds of silence that the user's audio ends with; only looked at while the user speaks.
        """
        if turns.calls:
            return math.inf
        if turns.running:
            return max(turns.last_event, turns.heard_until) + self.patience
        if turns.user_speaks:
            return turns.last_event + self.patience if silent_ms >= 1000 * self.patience else math.inf
        if turns.is_request_due:
            return max(turns.last_event, turns.last_request) + self.patience
        if turns.turn_waits and turns.follows_up:
            return turns.last_event + self.patience
        return math.inf
