"""What vendors say of single words, in the shape that several of them share."""

from collections.abc import Iterable

from trunkline.wire.fields import Fields, number_or


def mean_confidence(words: Iterable[Fields]) -> float | None:
    """The mean of the words' `confidence`; None where none has one."""
    values = [value for word in words if (value := number_or(word, "confidence")) is not None]
    return sum(values) / len(values) if values else None


def query_flag(value: bool) -> str:
    """A truth value as it stands in a query."""
    return "true" if value else "false"
