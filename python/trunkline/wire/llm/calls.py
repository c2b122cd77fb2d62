"""A tool call that arrives in pieces."""

from dataclasses import dataclass, field

from pydantic_core import from_json


@dataclass(slots=True)
class CallParts:
    """What has come of a call so far."""

    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """The arguments' text, as far as it has come."""
        return "".join(self.pieces)

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are all there, as far as one can see: they are JSON."""
        try:
            from_json(self.arguments)
        except ValueError:
            return False
        return True
