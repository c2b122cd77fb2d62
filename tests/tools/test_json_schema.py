"""The package's own check of JSON schemas says the same as a full validator, and refuses what it does not understand."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from trunkline.errors import InvalidConfig, MissingExtra
from trunkline.tools import CompiledTools, ToolDefinition, ToolDispatcher
from trunkline.tools.json_schema import InvalidSchema, NotUnderstood, compile_schema

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, -2.0]),
    st.sampled_from(["", "a", "ab", "é", "7", "٣", "\\d"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
TYPES = st.sampled_from(["null", "boolean", "string", "object", "array", "number", "integer"])
SIZE = st.integers(0, 3)
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "minimum": st.integers(-3, 3),
    "maximum": st.sampled_from([0, 0.5, 2]),
    "exclusiveMinimum": st.integers(-3, 3),
    "exclusiveMaximum": st.integers(-3, 3),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "minLength": SIZE,
    "maxLength": SIZE,
    "minItems": SIZE,
    "maxItems": SIZE,
    "minProperties": SIZE,
    "maxProperties": SIZE,
    "uniqueItems": st.booleans(),
    "required": st.lists(NAMES, max_size=2, unique=True),
    "pattern": st.sampled_from(["^a", "b$", "[a-z]{2}", "", r"\d", r"^[\w-]*$", r"\W", r"^\\d"]),
    "description": st.just("whatever"),
    "$ref": st.sampled_from(["#/$defs/text", "#/$defs/small"]),
}


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nested = {
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "additionalProperties": inner,
        "items": inner,
        "not": inner,
        **dict.fromkeys(("anyOf", "oneOf", "allOf"), st.lists(inner, min_size=1, max_size=3)),
    }
    return st.fixed_dictionaries({}, optional=KEYWORDS | nested).map(lambda found: dict(list(found.items())[:4]))


LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.booleans(), *(st.fixed_dictionaries({name: values}) for name, values in KEYWORDS.items())
)
DEFS = {"text": {"type": "string"}, "small": {"maximum": 1, "not": {"$ref": "#/$defs/text"}}}


@given(schema=st.recursive(LEAVES, schemas, max_leaves=8), value=VALUES)
def test_verdict_is_that_of_a_full_validator(schema: Any, value: Any) -> None:
    whole = {"allOf": [schema], "$defs": DEFS}
    assert (not list(compile_schema(whole)(value, ()))) == validator_for(whole).is_valid(value)


@given(value=VALUES, schema=st.fixed_dictionaries({name: KEYWORDS[name] for name in ("$ref", "type", "minimum")}))
def test_older_drafts_ignore_what_stands_beside_a_reference(value: Any, schema: Any) -> None:
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [schema], "$defs": DEFS}
    assert (not list(compile_schema(whole)(value, ()))) == validator_for(whole).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value", "complaint"),
    [
        ({"properties": {"a": {"items": {"minimum": 1}}}}, {"a": [1, 0]}, (("a", 1), "must be at least 1")),
        ({"required": ["a"]}, {}, (("a",), "is required")),
        ({"additionalProperties": False}, {"b": 1}, (("b",), "is unknown")),
        ({"properties": {"b": False}}, {"b": 1}, (("b",), "must not be there")),
        ({"type": ["string", "null"]}, 1, ((), "must be of type string or null")),
        ({"const": "x"}, "secret", ((), 'must be "x"')),
        ({"enum": ["x", 1]}, True, ((), 'must be one of "x", 1')),
        ({"multipleOf": 0.01}, 0.015, ((), "must be a multiple of 0.01")),
        ({"maxLength": 2}, "secret", ((), "must have at most 2 characters")),
        ({"pattern": "^x"}, "secret", ((), "must match ^x")),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, "s", ((), "fits none of the 2 choices")),
        ({"oneOf": [{"type": "number"}, {"minimum": 1}]}, 2, ((), "fits more than one of the choices")),
        ({"not": {"type": "string"}}, "s", ((), "is what it must not be")),
        ({"uniqueItems": True}, [1, 1.0], ((), "must not hold anything twice")),
    ],
)
def test_complaint_has_path_and_rule_and_no_value(schema: Any, value: Any, complaint: Any) -> None:
    assert list(compile_schema(schema)(value, ())) == [complaint]


def test_money_is_a_multiple_of_cents() -> None:
    rule = compile_schema({"multipleOf": 0.01})
    assert not [price for price in (0.07, 19.99, 1.1, 3, 1e20) if list(rule(price, ()))]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": []},
        {"required": "a"},
        {"minimum": "1"},
        {"maxLength": -1},
        {"enum": "a"},
        {"properties": []},
        {"items": 3},
        {"anyOf": []},
        {"pattern": "("},
        {"pattern": 3},
        {"multipleOf": 0},
        {"uniqueItems": 1},
        {"$ref": 3},
        {"$ref": "#/$defs/missing"},
        {"default": object()},
    ],
)
def test_schema_that_is_not_valid_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidSchema):
        compile_schema(schema)


UNCOMMON: list[dict[str, Any]] = [
    {"if": {"type": "string"}, "then": {"minLength": 1}},
    {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
    {"prefixItems": [{"type": "string"}]},
    {"properties": {"a": {"dependentRequired": {"a": ["b"]}}}},
    {"properties": {"child": {"$ref": "#"}}},
    {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"},
    {"properties": {"a": {"pattern": "^(?=a)"}}},
    {"properties": {"a": {"pattern": "^[a&&b]"}}},
    {"properties": {"a": {"pattern": "[[]"}}},
    {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"type": "integer"}}},
]


@pytest.mark.parametrize("schema", UNCOMMON)
def test_schema_with_uncommon_keywords_is_checked_by_the_extra(schema: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        compile_schema(schema)
    CompiledTools([ToolDefinition("t", "", schema)])


async def test_arguments_are_checked_by_the_extra_where_it_is_needed() -> None:
    schema = {"if": {"required": ["a"]}, "then": {"required": ["b"]}}
    tools = ToolDispatcher(CompiledTools([ToolDefinition("t", "", schema)], {"t": lambda _: "ran"}))
    assert (await tools.run("1", "t", '{"a": 1}')).error == 'Tool t: "b" is a required property'
    assert (await tools.run("2", "t", '{"a": 1, "b": 2}')).result == "ran"


def test_uncommon_keyword_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(MissingExtra, match="'if' in the parameters of tool 't' needs the extra 'jsonschema'"):
        CompiledTools([ToolDefinition("t", "", UNCOMMON[0])])
    CompiledTools([ToolDefinition("t", "", {"properties": {"a": {"type": "string"}}})])


def test_schema_that_the_extra_refuses_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="parameters: of tool 't'"):
        CompiledTools([ToolDefinition("t", "", {"if": 3})])


def test_common_schema_does_not_load_the_extra() -> None:
    program = (
        "import sys; from trunkline.tools import CompiledTools, ToolDefinition;"
        "CompiledTools([ToolDefinition('t', '', {'properties': {'a': {'type': 'string'}}})]); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert "trunkline.tools.json_schema" in done.stdout
    assert "jsonschema_rs" not in done.stdout
