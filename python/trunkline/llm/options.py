"""What the clients of all vendors take and check alike."""

from collections.abc import Mapping
from typing import Any

from trunkline.errors import InvalidConfig
from trunkline.llm.provider import PHONE_SYSTEM_PROMPT

OURS = ("messages", "stream", "tools")
"""Members of a request that an answer is made of; no configuration may replace them."""


def checked_extra(extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
    """Further members of a request.

    Raises:
        InvalidConfig: They replace what the request is made of.
    """
    extra = dict(extra_body or {})
    for name in OURS:
        if name in extra:
            raise InvalidConfig("extra_body", f"must not hold {name!r}, which is made of the conversation")
    return extra


def checked_model(model: str, max_tokens: int | None) -> str:
    """The model's name.

    Raises:
        InvalidConfig: It is empty, or the limit of tokens is not above 0.
    """
    if not model:
        raise InvalidConfig("model", "must be the vendor's name of a model")
    if max_tokens is not None and max_tokens < 1:
        raise InvalidConfig("max_tokens", f"must be above 0, got {max_tokens!r}")
    return model


def prompt(asked: str | None, own: str | None) -> str:
    """The system prompt of an answer: the one asked for, else the model's own, else the one for telephone calls; "" is none."""
    if asked is not None:
        return asked
    return PHONE_SYSTEM_PROMPT if own is None else own
