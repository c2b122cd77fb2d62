"""Objects for vendors, checked before they are sent: the path and the reason of what is refused."""

from typing import Annotated, Any, Literal, Required

import pytest
from pydantic import ConfigDict, Field, StrictInt, StrictStr, with_config
from typing_extensions import TypedDict

from trunkline.errors import InvalidConfig
from trunkline.wire.settings import Settings


@with_config(ConfigDict(extra="forbid"))
class Loud(TypedDict, total=False):
    type: Required[Literal["loud"]]
    level: Required[Annotated[StrictInt, Field(ge=0, le=9)]]


@with_config(ConfigDict(extra="forbid"))
class Soft(TypedDict, total=False):
    type: Required[Literal["soft"]]


@with_config(ConfigDict(extra="forbid"))
class Setup(TypedDict, total=False):
    name: Required[StrictStr]
    tone: Annotated[Loud | Soft, Field(discriminator="type")]
    limit: Literal["none"] | Annotated[StrictInt, Field(ge=1)]
    steps: list[Loud]


SETUP = Settings(Setup)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "a"},
        {"name": "a", "tone": {"type": "loud", "level": 9}, "limit": "none"},
        {"name": "a", "steps": ({"type": "loud", "level": 0},), "limit": 1},
    ],
)
def test_what_fits_passes(value: Any) -> None:
    SETUP.check(value)


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({}, "setup.name", "is needed"),
        ({"name": 5}, "setup.name", "must be a string, got 5"),
        ({"name": "a", "colour": "secret"}, "setup.colour", "there is no such field"),
        ({"name": "a", "tone": {}}, "setup.tone.type", "is needed"),
        ({"name": "a", "tone": {"type": "odd"}}, "setup.tone.type", "must be one of 'loud', 'soft', got 'odd'"),
        ({"name": "a", "tone": {"type": "loud"}}, "setup.tone.level", "is needed"),
        (
            {"name": "a", "tone": {"type": "loud", "level": True}},
            "setup.tone.level",
            "must be a whole number, got True",
        ),
        ({"name": "a", "limit": 0}, "setup.limit", "must be 'none' or must be greater than or equal to 1, got 0"),
        ({"name": "a", "steps": [{"type": "loud", "level": 1}, 5]}, "setup.steps[1]", "must be an object, got 5"),
        (
            {"name": "a", "limit": "x" * 99},
            "setup.limit",
            f"must be 'none' or must be a whole number, got {'x' * 40!r}…",
        ),
        ([], "setup", "must be an object, got list"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, field: str, reason: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        SETUP.check(value, "setup")
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert caught.value.__cause__ is None


def test_without_a_name_the_path_begins_with_the_field() -> None:
    with pytest.raises(InvalidConfig, match=r"^tone\.level: is needed$"):
        SETUP.check({"name": "a", "tone": {"type": "loud"}})
