"""OpenAI Realtime, what a session and a response may be asked for: every field with its range (GA, "session.update", "response.create").

The vendor refuses a whole update for one field it does not know; here the field is named before anything is sent.
"""

from collections.abc import Callable, Mapping
from typing import Any

from trunkline.errors import InvalidConfig

MAX_OUTPUT_TOKENS = 4096

Check = Callable[[object, str], None]
"""Called with a value and its path; raises `InvalidConfig`, which names the path, if the value cannot be sent."""


def check_session(session: Mapping[str, Any], *, beta: bool = False) -> None:
    """Check the object of `session.update`.

    Args:
        session: The object, as the present dialect has it.
        beta: Whether it may hold what only the older dialect has.

    Raises:
        InvalidConfig: A field does not exist, or its value is out of range; `field` is its path, as in the vendor's own errors.
    """
    _object({**_SESSION, **(_OF_BETA if beta else {})})(session, "session")


def check_response(response: Mapping[str, Any], *, beta: bool = False) -> None:
    """Check the object of `response.create` likewise."""
    _object({**_RESPONSE, **(_OF_BETA if beta else {})})(response, "response")


# ── how a field is checked ───────────────────────────────────────────────────────────────────────────────────────────


def _anything(_value: object, _path: str) -> None:
    pass


def _text(value: object, path: str) -> None:
    if not isinstance(value, str):
        raise InvalidConfig(path, f"must be a text, got {value!r}")


def _flag(value: object, path: str) -> None:
    if not isinstance(value, bool):
        raise InvalidConfig(path, f"must be True or False, got {value!r}")


def _number(low: float, high: float) -> Check:
    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InvalidConfig(path, f"must be between {low:g} and {high:g}, got {value!r}")

    return check


def _whole(low: int, high: int | None = None) -> Check:
    span = f"between {low} and {high}" if high is not None else f"at least {low}"

    def check(value: object, path: str) -> None:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
        if not fits or (high is not None and isinstance(value, int) and value > high):
            raise InvalidConfig(path, f"must be a whole number {span}, got {value!r}")

    return check


def _one_of(*words: str) -> Check:
    def check(value: object, path: str) -> None:
        if not isinstance(value, str) or value not in words:
            raise InvalidConfig(path, f"must be one of {', '.join(words)}, got {value!r}")

    return check


def _or(word: str | None, check: Check) -> Check:
    """One value that stands by itself, else what `check` allows."""

    def either(value: object, path: str) -> None:
        if value != word:
            check(value, path)

    return either


def _list(check: Check, *, least: int = 0, most: int | None = None) -> Check:
    def each(value: object, path: str) -> None:
        if not isinstance(value, list | tuple):
            raise InvalidConfig(path, f"must be a list, got {value!r}")
        if len(value) < least or (most is not None and len(value) > most):
            raise InvalidConfig(path, f"must have {least} to {most} members, got {len(value)}")
        for index, member in enumerate(value):
            check(member, f"{path}[{index}]")

    return each


def _object(members: Mapping[str, Check] | None = None, /, *, needs: tuple[str, ...] = (), **own: Check) -> Check:
    """An object with no other fields than these."""
    fields = {**(members or {}), **own}

    def check(value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidConfig(path, f"must be an object, got {value!r}")
        for name, member in value.items():
            if name not in fields:
                raise InvalidConfig(f"{path}.{name}", f"there is no such field; there are {', '.join(sorted(fields))}")
            fields[name](member, f"{path}.{name}")
        for name in needs:
            if name not in value:
                raise InvalidConfig(f"{path}.{name}", "is needed")

    return check


def _typed(**kinds: Check) -> Check:
    """An object whose `type` says which fields it has."""

    def check(value: object, path: str) -> None:
        kind = value.get("type") if isinstance(value, Mapping) else None
        _one_of(*(name.replace("__", "/") for name in kinds))(kind, f"{path}.type")
        kinds[str(kind).replace("/", "__")](value, path)

    return check


def _metadata(value: object, path: str) -> None:
    if not isinstance(value, Mapping) or len(value) > 16:
        raise InvalidConfig(path, "must be an object of at most 16 texts")
    for name, told in value.items():
        if not (isinstance(name, str) and isinstance(told, str) and len(name) <= 64 and len(told) <= 512):
            raise InvalidConfig(path, f"must hold texts, names up to 64 and values up to 512 characters; see {name!r}")


def _item(value: object, path: str) -> None:
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        raise InvalidConfig(path, "must be an item, an object with a `type`")


# ── the fields ───────────────────────────────────────────────────────────────────────────────────────────────────────

_FORMAT = _typed(
    audio__pcm=_object(needs=("rate",), type=_text, rate=_whole(24_000, 24_000)),
    audio__pcmu=_object(type=_text),
    audio__pcma=_object(type=_text),
)

_TURN_DETECTION = _typed(
    server_vad=_object(
        type=_text,
        threshold=_number(0, 1),
        prefix_padding_ms=_whole(0),
        silence_duration_ms=_whole(0),
        idle_timeout_ms=_or(None, _whole(5_000, 30_000)),
        create_response=_flag,
        interrupt_response=_flag,
    ),
    semantic_vad=_object(
        type=_text,
        eagerness=_one_of("low", "medium", "high", "auto"),
        create_response=_flag,
        interrupt_response=_flag,
    ),
)

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")

_TRANSCRIPTION = _object(
    model=_text,
    language=_or(None, _text),
    prompt=_or(None, _text),
    languages=_list(_text),
    keywords=_list(_text),
    delay=_one_of(*_EFFORTS),
)


def _voice(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        _object(needs=("id",), id=_text)(value, path)
    elif not isinstance(value, str) or not value:
        raise InvalidConfig(path, f"must be a name or an object with an `id`, got {value!r}")


_TOOL = _typed(
    function=_object(needs=("name",), type=_text, name=_text, description=_text, parameters=_anything),
    mcp=_object(
        needs=("server_label",),
        type=_text,
        server_label=_text,
        server_url=_text,
        connector_id=_text,
        tunnel_id=_text,
        authorization=_text,
        headers=_anything,
        allowed_tools=_anything,
        require_approval=_anything,
    ),
)

_TOOL_CHOICES = _typed(
    function=_object(needs=("name",), type=_text, name=_text),
    mcp=_object(needs=("server_label",), type=_text, server_label=_text, name=_text),
)


def _tool_choice(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        _TOOL_CHOICES(value, path)
    else:
        _one_of("auto", "none", "required")(value, path)


_RETENTION = _object(
    needs=("retention_ratio",),
    type=_one_of("retention_ratio"),
    retention_ratio=_number(0, 1),
    token_limits=_object(post_instructions=_whole(1)),
)


def _truncation(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        _RETENTION(value, path)
    else:
        _one_of("auto", "disabled")(value, path)


# What a session and a response have in common.
_ANSWERING: Mapping[str, Check] = {
    "output_modalities": _list(_one_of("audio", "text"), least=1, most=1),
    "instructions": _text,
    "tools": _list(_TOOL),
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _flag,
    "reasoning": _object(needs=("effort",), effort=_one_of(*_EFFORTS)),
    "max_output_tokens": _or("inf", _whole(1, MAX_OUTPUT_TOKENS)),
    "prompt": _or(None, _object(needs=("id",), id=_text, version=_text, variables=_anything)),
}

_SESSION: Mapping[str, Check] = {
    **_ANSWERING,
    "type": _one_of("realtime"),
    "audio": _object(
        input=_object(
            format=_FORMAT,
            transcription=_or(None, _TRANSCRIPTION),
            noise_reduction=_or(
                None, _object(needs=("type",), type=_one_of("near_field", "far_field"), strength=_anything)
            ),
            turn_detection=_or(None, _TURN_DETECTION),
        ),
        output=_object(format=_FORMAT, voice=_voice, speed=_number(0.25, 1.5)),
    ),
    "truncation": _truncation,
    "tracing": _or(None, _or("auto", _object(workflow_name=_text, group_id=_text, metadata=_anything))),
    "include": _or(None, _list(_one_of("item.input_audio_transcription.logprobs"))),
}

_RESPONSE: Mapping[str, Check] = {
    **_ANSWERING,
    "audio": _object(output=_object(format=_FORMAT, voice=_voice)),
    "conversation": _one_of("auto", "none"),
    "input": _list(_item),
    "metadata": _metadata,
}

_OF_BETA: Mapping[str, Check] = {"temperature": _number(0.6, 1.2)}
