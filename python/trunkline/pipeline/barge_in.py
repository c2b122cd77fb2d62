"""When the caller's speech stops the agent: a state machine without I/O, for every mode and every pipeline.

::

    state      the caller begins to speak      the caller stops            `due` passes
    ─────────  ──────────────────────────────  ──────────────────────────  ─────────────────────────
    QUIET      too soon, or mode disabled:     nothing                     —
               nothing; no minimum: STOP or
               FINISH_SENTENCE, to QUIET;
               else HOLD or nothing,
               to UNSURE
    UNSURE     nothing                         RESUME if held, to QUIET    STOP or FINISH_SENTENCE,
                                                                           to QUIET

The machine only decides; whoever asks it does what it says. Time is an argument, in seconds.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Literal

from trunkline.errors import InvalidConfig


class InterruptionMode(StrEnum):
    """What the caller's speech does to the agent's."""

    IMMEDIATE = "immediate"
    """The agent falls silent at once."""
    AFTER_SENTENCE = "after_sentence"
    """The agent finishes the sentence that is being heard."""
    DISABLED = "disabled"
    """The agent goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionPolicy:
    """How easily the agent is stopped.

    Args:
        mode: What the caller's speech does.
        min_speech_ms: How long the caller must speak for it to count; 0 stops the agent at the first sound that the detector takes for
            speech. With a minimum the agent itself decides, so the provider is asked not to drop its answers.
        hold: Fall silent during that time; a cough is then followed by the rest of the sentence. Otherwise the agent speaks on meanwhile,
            as it always does in the mode `after_sentence`.
        cool_down_ms: How long after an interruption the next one is not listened to.

    Raises:
        InvalidConfig: A value is unknown or negative.
    """

    mode: InterruptionMode | Literal["immediate", "after_sentence", "disabled"] = InterruptionMode.IMMEDIATE
    min_speech_ms: int = 0
    hold: bool = False
    cool_down_ms: int = 0

    def __post_init__(self) -> None:
        if self.mode not in set(InterruptionMode):
            raise InvalidConfig("interruption_mode", f"must be one of {', '.join(InterruptionMode)}, got {self.mode!r}")
        object.__setattr__(self, "mode", InterruptionMode(self.mode))
        for name in ("min_speech_ms", "cool_down_ms"):
            if getattr(self, name) < 0:
                raise InvalidConfig(name, f"must not be negative, got {getattr(self, name)!r}")

    @property
    def left_to_provider(self) -> bool:
        """Whether the provider may drop its answer as soon as it hears the caller."""
        return self.mode is InterruptionMode.IMMEDIATE and not self.min_speech_ms


class Decision(Enum):
    """What to do now."""

    NOTHING = auto()
    HOLD = auto()
    RESUME = auto()
    STOP = auto()
    FINISH_SENTENCE = auto()


class BargeIn:
    """One call's decisions."""

    def __init__(self, policy: InterruptionPolicy) -> None:
        self._policy = policy
        self._since: float | None = None
        self._held = False
        self._ignored_until = float("-inf")
        self.due: float | None = None

    def caller_began(self, now: float, *, agent_speaks: bool) -> Decision:
        """The caller begins to speak, whoever noticed it; also asked again while the same speech goes on."""
        if not agent_speaks or self._since is not None or now < self._ignored_until:
            return Decision.NOTHING
        if self._policy.mode is InterruptionMode.DISABLED:
            return Decision.NOTHING
        if not self._policy.min_speech_ms:
            return self._decide(now)
        self._since = now
        self.due = now + self._policy.min_speech_ms / 1000
        self._held = self._policy.hold and self._policy.mode is InterruptionMode.IMMEDIATE
        return Decision.HOLD if self._held else Decision.NOTHING

    def caller_stopped(self) -> Decision:
        """The caller fell silent."""
        resume = self._held
        self._reset()
        return Decision.RESUME if resume else Decision.NOTHING

    def due_passed(self, now: float) -> Decision:
        """`due` may have passed: the caller has spoken long enough."""
        if self.due is None or now < self.due:
            return Decision.NOTHING
        held = self._held
        self._reset()
        return Decision.STOP if held else self._decide(now)

    def stopped(self, now: float) -> None:
        """The agent was stopped, by this machine's decision or another's."""
        self._reset()
        self._ignored_until = now + self._policy.cool_down_ms / 1000

    def _decide(self, now: float) -> Decision:
        self._ignored_until = now + self._policy.cool_down_ms / 1000
        if self._policy.mode is InterruptionMode.AFTER_SENTENCE:
            return Decision.FINISH_SENTENCE
        return Decision.STOP

    def _reset(self) -> None:
        self._since = self.due = None
        self._held = False
