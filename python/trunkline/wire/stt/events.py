"""What happens while speech becomes text, told alike for every vendor: one frozen class per event.

Moments in milliseconds count the audio that the session was given, all of it, from its beginning; None where the vendor does not say.
"""

from dataclasses import dataclass

from trunkline.errors import ProviderError


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak; only with `SttCapabilities.reports_speech`.

    Some vendors tell of noise too: whoever interrupts an agent should ask for words as well.
    """

    audio_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller stopped; each `SpeechStarted` gets one, before or after the final words of the utterance."""

    audio_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The words of the utterance that is going on: all of them, so that each replaces the one before.

    After one with `is_final` the next begins a new utterance. Every utterance that had words gets a final one, also where the session
    ends in the middle of it. A final transcript is never empty.

    Args:
        text: All words so far.
        is_final: Whether the utterance is over: the vendor heard the pause or the end of the turn, or `finalize` asked for it.
        stable: How many characters at the beginning of `text` will not be revised; with `is_final` all of them.
        confidence: How sure the vendor is of the words, 0 to 1.
        end_of_turn: How sure it is that the caller has finished, 0 to 1, where it judges more than silence.
        start_ms: Where the utterance begins in the audio.
        end_ms: Up to where the audio was heard for it.
        language: The language that was heard, as the vendor names it; "" where it does not say.
    """

    text: str
    is_final: bool = False
    stable: int = 0
    confidence: float | None = None
    end_of_turn: float | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    language: str = ""

    def __post_init__(self) -> None:
        if self.is_final:
            object.__setattr__(self, "stable", len(self.text))


@dataclass(frozen=True, slots=True)
class TurnEndLikely:
    """The caller has probably finished: an answer may be prepared, but not spoken. Only with `SttCapabilities.predicts_turn_end`.

    Either `TurnResumed` follows, or a final `Transcript` with just this text.
    """

    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller went on: what was prepared since `TurnEndLikely` is to be dropped."""


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """Something failed; if `fatal`, `SessionEnded` follows. Otherwise an utterance may be lost, and the session goes on."""

    error: ProviderError
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The last event of every session: `reason` is "closed" (by this side), "closed_by_vendor" or "failed", with the error."""

    reason: str
    error: ProviderError | None = None


SttEvent = SpeechStarted | SpeechStopped | Transcript | TurnEndLikely | TurnResumed | ErrorReported | SessionEnded
