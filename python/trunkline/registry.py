"""Names to entry points: how a name like "twilio" or "openai" becomes a class, ours and a third party's alike.

Every vendor is an entry point in somebody's `pyproject.toml`; ours are in our own. What is registered here at run time goes before what is
installed. Nothing is imported until it is asked for.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal

from trunkline.errors import UnknownProvider

Kind = Literal["gateways", "realtime", "stt", "tts", "llm"]

THIN: Final = 0
"""The priority of what is installed, and of what talks to a vendor without its SDK."""
THICK: Final = 10
"""The priority of what wraps a vendor's own SDK."""

_registered: dict[tuple[Kind, str], tuple[int, Any]] = {}


def register(kind: Kind, name: str, provider: Any, *, priority: int = THIN) -> None:
    """Make `provider` known under `name` in this process, in place of whatever has the name with a priority that is not higher."""
    if priority >= priority_of(kind, name):
        _registered[kind, name.lower()] = priority, provider


def priority_of(kind: Kind, name: str) -> int:
    """The priority of what has a name; -1 if nothing has it."""
    if (kind, name.lower()) in _registered:
        return _registered[kind, name.lower()][0]
    return THIN if name.lower() in _installed(kind) else -1


def has(kind: Kind, name: str) -> bool:
    """Whether something has this name."""
    return priority_of(kind, name) >= 0


def names(kind: Kind) -> list[str]:
    """The names known for a kind of provider, sorted."""
    return sorted({name for known, name in _registered if known == kind} | _installed(kind).keys())


def get(kind: Kind, name: str) -> Any:
    """The class or factory registered under a name.

    Raises:
        UnknownProvider: Nothing has this name; the error lists what does.
    """
    wanted = name.lower()
    if (kind, wanted) in _registered:
        return _registered[kind, wanted][1]
    entry = _installed(kind).get(wanted)
    if entry is None:
        raise UnknownProvider(name, kind=kind, available=names(kind))
    return entry.load()


def _installed(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name.lower(): entry for entry in entry_points(group=f"trunkline.{kind}")}
