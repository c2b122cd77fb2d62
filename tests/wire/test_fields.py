"""Typed reads from untrusted JSON: odd members are left out, essential ones are named."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import RemoteProtocolError
from trunkline.wire.fields import Reader, flag_or, int_or, number_or, object_or_empty, objects, text_or

READER = Reader("acme")
ODD: list[Any] = [None, True, [], {}, float("nan"), float("inf")]


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", ""), (429, "429"), (1.5, "1.5"), (None, "?"), (True, "?"), ([], "?"), ({}, "?")],
)
def test_optional_text(value: Any, text: str) -> None:
    assert text_or({"x": value}, "x", "?") == text
    assert text_or({}, "x", "?") == "?"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (-3, -3),
        (3.0, 3),
        (3.9, 3),
        ("12", 12),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        ("9" * 19, None),
    ]
    + [(odd, None) for odd in ODD],
)
def test_optional_whole_number(value: Any, number: int | None) -> None:
    assert int_or({"x": value}, "x") == number
    assert int_or({}, "x", 7) == 7


@pytest.mark.parametrize(("value", "number"), [(3, 3), (2.5, 2.5), ("3", None)] + [(odd, None) for odd in ODD])
def test_optional_number(value: Any, number: float | None) -> None:
    assert number_or({"x": value}, "x") == number


def test_optional_flag_and_objects() -> None:
    fields = {"flag": False, "odd": "no", "inner": {"a": 1}, "list": [{"a": 1}, 2, None, {}]}
    assert flag_or(fields, "flag", True) is False
    assert flag_or(fields, "odd", True) is True
    assert object_or_empty(fields, "inner") == {"a": 1}
    assert object_or_empty(fields, "odd") == object_or_empty(fields, "missing") == {}
    assert objects(fields, "list") == [{"a": 1}, {}]
    assert objects(fields, "odd") == []


@pytest.mark.parametrize(
    ("method", "value", "read"),
    [
        ("text", "a", "a"),
        ("text", 7, "7"),
        ("integer", "12", 12),
        ("integer", 12.0, 12),
        ("object", {"a": 1}, {"a": 1}),
        ("base64", "AAEC", b"\0\1\2"),
        ("base64", "YQ", b"a"),
    ],
)
def test_essential_members(method: str, value: Any, read: Any) -> None:
    assert getattr(READER, method)({"x": value}, "x") == read


@pytest.mark.parametrize(
    ("method", "value", "reason"),
    [
        ("text", None, "missing"),
        ("text", [], "not a text"),
        ("text", True, "not a text"),
        ("integer", None, "missing"),
        ("integer", "many", "not a whole number"),
        ("object", None, "missing"),
        ("object", [], "not an object"),
        ("base64", None, "missing"),
        ("base64", 7, "not a text"),
        ("base64", "$$$$", "not base64"),
    ],
)
def test_essential_member_that_cannot_be_read_is_named(method: str, value: Any, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        getattr(READER, method)({"x": value}, "x", "outer.")
    assert (caught.value.vendor, caught.value.path, caught.value.reason) == ("acme", "outer.x", reason)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": "\\ud83d!"}', {"a": "\ufffd!"}),
        ('{"a": ["\\udc00", {"\\ud800": 1}]}', {"a": ["\ufffd", {"\ufffd": 1}]}),
        ('{"a": "\ud800"}', {"a": "\ufffd"}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a": 1}', {"a": 1}),
    ],
)
def test_text_that_is_not_quite_unicode_is_replaced(message: str | bytes, fields: dict[str, Any]) -> None:
    assert READER.message(message) == fields


@pytest.mark.parametrize(
    "message", ["", "{", "[1]", "7", "[" * 5000, b"\xff\xfe", '{"a": ' + "9" * 5000 + "}", "\ud800"]
)
def test_what_is_no_object_is_refused(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        READER.message(message)


@given(st.text() | st.binary())
def test_anything_is_read_or_refused(message: str | bytes) -> None:
    with suppress(RemoteProtocolError):
        assert isinstance(READER.message(message), dict)
