"""What came to light in a simulated call."""

from dataclasses import dataclass, field
from typing import Any

from trunkline.testing.timeline import Timeline
from trunkline.testing.twilio.line import End


@dataclass(slots=True)
class Findings:
    """What came to light in a call; `TwilioCaller` tells what each means."""

    timeline: Timeline
    refused: str | None = None
    ended_by: End | None = None
    close_code: int | None = None
    start: dict[str, Any] = field(default_factory=dict)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    played_digits: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)

    def warn(self, code: int, reason: str) -> None:
        """Twilio ignored a message of the gateway."""
        self.warnings.append((code, reason))
        self.timeline.note(f"warning {code} {reason}")

    def fail(self, code: int, reason: str) -> None:
        """Twilio could not do what it was told."""
        self.errors.append((code, reason))
        self.timeline.note(f"error {code} {reason}")

    def refuse_stream(self, code: int, reason: str, *, refused: str = "") -> None:
        """A media stream was not opened."""
        self.refused = refused or reason
        self.timeline.note(f"stream refused {self.refused}")
        self.fail(code, reason)
