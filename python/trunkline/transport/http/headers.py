"""HTTP headers as they were sent, found without regard to case."""

from collections.abc import Iterable, Iterator
from typing import overload


class Headers:
    """Pairs in the order of the wire; immutable. `repr` shows names only, since values hold keys and signatures."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple(pairs)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """The value, several joined by a comma as RFC 9110 section 5.3 allows; `default` if there is none."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def get_all(self, name: str) -> list[str]:
        """Every value of this name, in order."""
        wanted = name.lower()
        return [value for known, value in self._pairs if known.lower() == wanted]

    def lists(self, name: str, token: str) -> bool:
        """Whether a comma-separated header holds a token, as `Connection` holds `Upgrade`."""
        return token in {part.strip().lower() for part in self.get(name, "").split(",")}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({', '.join(name for name, _ in self._pairs)})"
