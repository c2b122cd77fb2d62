"""What both of Deepgram's interfaces write into their addresses, and say of words."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from trunkline.audio import AudioFormat
from trunkline.wire.fields import Fields, number_or

Parameter = str | int | float | bool | Sequence[str] | None
"""A value of a query; of a list each member is a parameter of its own, and None is left out."""


def listen_query(parameters: Mapping[str, Parameter], audio_format: AudioFormat) -> str:
    """The query of a session: the parameters, and what the audio is."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, str | int | float):
            pairs.append((name, str(value)))
        elif value is not None:
            pairs += [(name, member) for member in value]
    pairs += [("encoding", str(audio_format.encoding)), ("sample_rate", str(audio_format.sample_rate))]
    return urlencode(pairs)


def mean_confidence(words: Iterable[Fields]) -> float | None:
    """The mean of the words' `confidence`; None where none has one."""
    values = [value for word in words if (value := number_or(word, "confidence")) is not None]
    return sum(values) / len(values) if values else None
