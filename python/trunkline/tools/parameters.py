"""Which arguments of a function are still open: what a partial has bound is neither shown to a model nor changeable by it."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from types import MethodType
from typing import Any, get_type_hints

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_PLACEHOLDER = getattr(functools, "Placeholder", None)  # since Python 3.14
_PARTIAL_METHOD = ("_partialmethod", "__partialmethod__")  # until and since Python 3.13


def open_parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters that a caller by name may still give, their annotations resolved.

    `inspect.signature` cannot be taken: it shows arguments that a partial binds by keyword as changeable defaults, and where
    `functools.update_wrapper` was applied to a partial, it shows even those bound by position.

    Raises:
        NameError: An annotation names what is not there.
        TypeError: It has no signature, or binds more arguments than there are.
        ValueError: It has no signature that can be read.
    """
    # Partials come first: `update_wrapper` gives them `__wrapped__` and `__signature__` of the function that they bind.
    if isinstance(function, functools.partial):
        return _without(open_parameters(function.func), function.args, function.keywords)
    if isinstance(function, MethodType):
        return _without(open_parameters(function.__func__), (function.__self__,), {})
    method = next(
        (found for name in _PARTIAL_METHOD if (found := _own_attributes(function).get(name)) is not None), None
    )
    if method is not None:
        of_function = open_parameters(method.func)
        return [*of_function[:1], *_without(of_function[1:], method.args, method.keywords)]
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None and _passes_on(function):
        return open_parameters(wrapped)
    called = type(function).__call__
    if inspect.isfunction(called):  # an object that can be called
        return open_parameters(MethodType(called, function))
    own = inspect.signature(function, follow_wrapped=False)
    hints = get_type_hints(function, include_extras=True)
    return [
        parameter.replace(annotation=hints.get(parameter.name, parameter.annotation))
        for parameter in own.parameters.values()
    ]


def _passes_on(wrapper: Callable[..., Any]) -> bool:
    """Whether a wrapper has no arguments of its own to show."""
    try:
        own = inspect.signature(wrapper, follow_wrapped=False)
    except ValueError:
        return True  # written in C, as that of `functools.lru_cache`
    return any(parameter.kind in _VARIADIC for parameter in own.parameters.values())


def _own_attributes(function: object) -> Mapping[str, Any]:
    """The attributes of its own."""
    return getattr(function, "__dict__", {})


def _without(parameters: list[Parameter], args: Sequence[object], keywords: Mapping[str, object]) -> list[Parameter]:
    """The parameters but for those that are bound."""
    if _PLACEHOLDER is not None and any(arg is _PLACEHOLDER for arg in args):
        raise TypeError("it has placeholders, which can only be filled by position")
    by_position = [parameter for parameter in parameters if parameter.kind in _BY_POSITION]
    bound = {parameter.name for parameter in by_position[: len(args)]} | set(keywords)
    if len(args) > len(by_position) and not any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters):
        raise TypeError("more arguments are bound than it takes")
    return [parameter for parameter in parameters if parameter.name not in bound]
