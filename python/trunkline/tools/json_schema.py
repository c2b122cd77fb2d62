"""Checking values against the part of JSON Schema that tools use: every common keyword, and no package to install.

A schema is compiled once to functions. A value is never part of a message. What is not understood is refused when the schema is compiled.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema, to_json

Path = tuple[str | int, ...]
Complaint = tuple[Path, str]
Rule = Callable[[Any, Path], Iterator[Complaint]]
"""Gives what is wrong with a value, each with its path."""

ANNOTATIONS = frozenset(
    {
        *("$comment", "$defs", "$schema", "contentEncoding", "contentMediaType", "default", "definitions"),
        *("deprecated", "description", "examples", "format", "readOnly", "title", "writeOnly"),
    }
)
"""Keywords that say nothing about which values are valid; `format` is one by the standard."""
_OLD_DRAFTS = ("http://json-schema.org/draft-06/schema", "http://json-schema.org/draft-07/schema")
_NEW_DRAFTS = ("https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
}


class NotUnderstood(Exception):
    """The schema has a keyword, or uses one in a way, that this module does not know; `str()` says which."""


class InvalidSchema(Exception):
    """The schema is not valid; `str()` says why."""


def compile_schema(schema: Mapping[str, Any]) -> Rule:
    """What checks values against a schema.

    Raises:
        InvalidSchema: The schema is not valid.
        NotUnderstood: It needs more than this module knows.
    """
    try:
        to_json(dict(schema), inf_nan_mode="strings")
    except ValueError as error:
        raise InvalidSchema(f"not JSON: {error}") from error
    draft = str(schema.get("$schema", _NEW_DRAFTS[-1])).rstrip("#")
    if draft not in _OLD_DRAFTS + _NEW_DRAFTS:
        raise NotUnderstood(f"$schema {draft}")
    return _Compiler(schema, only_ref=draft in _OLD_DRAFTS).compile(schema)


class _Compiler:
    """Makes rules of the parts of one schema."""

    def __init__(self, root: Mapping[str, Any], *, only_ref: bool) -> None:
        self._root = root
        self._only_ref = only_ref  # older drafts ignore what stands beside a $ref
        self._open_refs: list[str] = []

    def compile(self, schema: Any) -> Rule:
        if isinstance(schema, bool):
            return _nothing if schema else _refuse_all
        if not isinstance(schema, Mapping):
            raise InvalidSchema("a schema must be an object or a boolean")
        keywords = {"$ref": schema["$ref"]} if self._only_ref and "$ref" in schema else schema
        rules = [rule for name, value in keywords.items() if (rule := self._rule(name, value, schema)) is not None]

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            for rule in rules:
                yield from rule(value, path)

        return check

    def _rule(self, name: str, value: Any, schema: Mapping[str, Any]) -> Rule | None:
        if name in ANNOTATIONS:
            return None
        if name in _BOUNDS:
            return _bound(name, value)
        if name in _SIZES:
            return _size(name, value)
        make = {
            "type": _type,
            "enum": _enum,
            "const": lambda constant: _enum([constant]),
            "pattern": _pattern,
            "multipleOf": _multiple,
            "required": _required,
            "uniqueItems": _unique,
            "$ref": self._ref,
            "properties": self._properties,
            "additionalProperties": lambda rest: self._additional(rest, schema.get("properties", {})),
            "items": self._items,
            "anyOf": lambda choices: self._some("anyOf", choices),
            "oneOf": lambda choices: self._some("oneOf", choices),
            "allOf": self._all,
            "not": self._not,
        }.get(name)
        if make is None or (name == "additionalProperties" and "patternProperties" in schema):
            raise NotUnderstood(f"the keyword {name!r}")
        return make(value)

    def _ref(self, reference: Any) -> Rule:
        if not isinstance(reference, str):
            raise InvalidSchema("$ref must be text")
        if not (reference == "#" or reference.startswith("#/")):
            raise NotUnderstood(f"$ref to {reference!r}, which is not in the schema itself")
        if reference in (*self._open_refs, "#"):
            raise NotUnderstood(f"$ref to {reference!r}, which holds itself")
        target: Any = self._root
        for part in (escaped.replace("~1", "/").replace("~0", "~") for escaped in reference.split("/")[1:]):
            if not isinstance(target, Mapping) or part not in target:
                raise InvalidSchema(f"$ref to {reference!r}, which is not there")
            target = target[part]
        self._open_refs.append(reference)
        try:
            return self.compile(target)
        finally:
            self._open_refs.pop()

    def _properties(self, properties: Any) -> Rule:
        if not isinstance(properties, Mapping):
            raise InvalidSchema("properties must be an object")
        rules = {name: self.compile(schema) for name, schema in properties.items()}

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            if isinstance(value, Mapping):
                for name, rule in rules.items():
                    if name in value:
                        yield from rule(value[name], (*path, name))

        return check

    def _additional(self, rest: Any, properties: Mapping[str, Any]) -> Rule:
        rule = self.compile(rest)

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            if isinstance(value, Mapping):
                for name in value:
                    if name not in properties:
                        yield from (
                            [((*path, name), "is unknown")] if rest is False else rule(value[name], (*path, name))
                        )

        return check

    def _items(self, items: Any) -> Rule:
        if isinstance(items, list):
            raise NotUnderstood("'items' as a list")
        rule = self.compile(items)

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            if isinstance(value, list):
                for number, item in enumerate(value):
                    yield from rule(item, (*path, number))

        return check

    def _choices(self, keyword: str, choices: Any) -> list[Rule]:
        if not isinstance(choices, list) or not choices:
            raise InvalidSchema(f"{keyword} must be a list of schemas")
        return [self.compile(choice) for choice in choices]

    def _some(self, keyword: str, choices: Any) -> Rule:
        rules = self._choices(keyword, choices)

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            fitting = sum(_fits(rule, value) for rule in rules)
            if fitting == 0:
                yield path, f"fits none of the {len(rules)} choices"
            elif fitting > 1 and keyword == "oneOf":
                yield path, "fits more than one of the choices"

        return check

    def _all(self, parts: Any) -> Rule:
        rules = self._choices("allOf", parts)

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            for rule in rules:
                yield from rule(value, path)

        return check

    def _not(self, schema: Any) -> Rule:
        rule = self.compile(schema)

        def check(value: Any, path: Path) -> Iterator[Complaint]:
            if _fits(rule, value):
                yield path, "is what it must not be"

        return check


def _fits(rule: Rule, value: Any) -> bool:
    return next(rule(value, ()), None) is None


def _nothing(_value: Any, _path: Path) -> Iterator[Complaint]:
    yield from ()


def _refuse_all(_value: Any, path: Path) -> Iterator[Complaint]:
    yield path, "must not be there"


# ── keywords without schemas in them ─────────────────────────────────────────────────────────────────────────────────


def _type(types: Any) -> Rule:
    names = types if isinstance(types, list) else [types]
    if not names or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise InvalidSchema(f"type must be one of {', '.join(_TYPES)}, or a list of them")

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if not any(_TYPES[name](value) for name in names):
            yield path, f"must be of type {' or '.join(names)}"

    return check


def _enum(values: Any) -> Rule:
    if not isinstance(values, list):
        raise InvalidSchema("enum must be a list")
    choices, keys = ", ".join(to_json(value).decode() for value in values), {_key(value) for value in values}

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if _key(value) not in keys:
            yield path, f"must be one of {choices}" if len(values) > 1 else f"must be {choices}"

    return check


_ESCAPES = {"d": "[0-9]", "D": "[^0-9]", "w": "[A-Za-z0-9_]", "W": "[^A-Za-z0-9_]"}
"""What escapes mean in JSON Schema; the engine takes them for the letters and digits of all scripts."""
_OTHER_CLASSES = re.compile(r"&&|--|~~|\[[^\]]*\[")
"""What the engine reads as operations on classes of characters, and JSON Schema does not."""


def _pattern(pattern: Any) -> Rule:
    if not isinstance(pattern, str):
        raise InvalidSchema("pattern must be text")
    if _OTHER_CLASSES.search(pattern):
        raise NotUnderstood(f"the pattern {pattern!r}")
    ascii_only = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), pattern)
    try:  # the engine that pydantic has: unlike Python's own it takes no more than linear time, whatever a caller says
        validator = SchemaValidator(core_schema.str_schema(pattern=ascii_only, regex_engine="rust-regex"))
    except SchemaError as error:
        try:
            re.compile(pattern)
        except re.error:
            raise InvalidSchema(f"pattern {pattern!r} cannot be read") from error
        raise NotUnderstood(f"the pattern {pattern!r}") from error

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if isinstance(value, str):
            try:
                validator.validate_python(value)
            except ValidationError:
                yield path, f"must match {pattern}"

    return check


def _multiple(step: Any) -> Rule:
    if not _is_number(step) or not 0 < step < math.inf:
        raise InvalidSchema("multipleOf must be a number above 0")

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if _is_number(value) and (
            value % step if isinstance(value, int) and isinstance(step, int) else _rest(value, step)
        ):
            yield path, f"must be a multiple of {step}"

    return check


def _rest(value: float, step: float) -> Decimal:
    return Decimal(repr(value)) - (Decimal(repr(value)) / Decimal(repr(step))).to_integral_value() * Decimal(repr(step))


def _required(names: Any) -> Rule:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidSchema("required must be a list of names")

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if isinstance(value, Mapping):
            for name in names:
                if name not in value:
                    yield (*path, name), "is required"

    return check


def _unique(wanted: Any) -> Rule:
    if not isinstance(wanted, bool):
        raise InvalidSchema("uniqueItems must be true or false")

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if wanted and isinstance(value, list) and len({_key(item) for item in value}) < len(value):
            yield path, "must not hold anything twice"

    return check


_BOUNDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("must be at least", lambda value, bound: value >= bound),
    "maximum": ("must be at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("must be above", lambda value, bound: value > bound),
    "exclusiveMaximum": ("must be below", lambda value, bound: value < bound),
}
_SIZES: Mapping[str, tuple[type, str, Callable[[int, int], bool]]] = {
    "minLength": (str, "must have at least {} characters", lambda size, bound: size >= bound),
    "maxLength": (str, "must have at most {} characters", lambda size, bound: size <= bound),
    "minItems": (list, "must have at least {} items", lambda size, bound: size >= bound),
    "maxItems": (list, "must have at most {} items", lambda size, bound: size <= bound),
    "minProperties": (Mapping, "must have at least {} members", lambda size, bound: size >= bound),
    "maxProperties": (Mapping, "must have at most {} members", lambda size, bound: size <= bound),
}


def _bound(keyword: str, bound: Any) -> Rule:
    words, holds = _BOUNDS[keyword]
    if not _is_number(bound):
        raise InvalidSchema(f"{keyword} must be a number")

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if _is_number(value) and not holds(value, bound):
            yield path, f"{words} {bound}"

    return check


def _size(keyword: str, bound: Any) -> Rule:
    kind, words, holds = _SIZES[keyword]
    if not _TYPES["integer"](bound) or bound < 0:
        raise InvalidSchema(f"{keyword} must be a whole number")

    def check(value: Any, path: Path) -> Iterator[Complaint]:
        if isinstance(value, kind) and not holds(len(value), bound):  # type: ignore[arg-type]
            yield path, words.format(int(bound))

    return check


def _key(value: Any) -> Any:
    """What is equal for values that JSON holds equal, and can be looked up: 1 is 1.0, and neither is true."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *map(_key, value))
    if isinstance(value, Mapping):
        return ("object", frozenset((name, _key(item)) for name, item in value.items()))
    return value
