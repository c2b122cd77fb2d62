"""What a program binds to a function is neither shown to the model nor changeable by it."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from trunkline.errors import InvalidConfig
from trunkline.tools import CompiledTools, ToolDispatcher, tool


def orders(customer: str, limit: int = 10) -> str:
    """The last orders.

    Args:
        customer: Whose.
        limit: How many.
    """
    return f"{limit} orders of {customer}"


async def async_orders(customer: str, limit: int = 10) -> str:
    """The last orders."""
    return orders(customer, limit)


def named(bound: Callable[..., Any], like: Callable[..., Any] = orders) -> Callable[..., Any]:
    functools.update_wrapper(bound, like)
    bound.__name__ = "orders"
    return bound


class Account:
    def __init__(self, customer: str) -> None:
        self.customer = customer

    def orders(self, limit: int = 10) -> str:
        return orders(self.customer, limit)

    def of(self, customer: str, limit: int = 10) -> str:
        return orders(customer, limit)

    of_ann = functools.partialmethod(of, customer="ann")
    first_of_ann = functools.partialmethod(functools.partial(of, limit=1), customer="ann")

    def __call__(self, limit: int = 10) -> str:
        return orders(self.customer, limit)


@functools.wraps(orders)
def own_arguments(limit: int = 10) -> str:
    return orders("ann", limit)


@functools.wraps(orders)
def passes_on(*args: Any, **kwargs: Any) -> str:
    return orders(*args, **kwargs)


OPEN_LIMIT: dict[str, Callable[..., Any]] = {
    "by keyword": named(functools.partial(orders, customer="ann")),
    "by position": named(functools.partial(orders, "ann")),
    "async by keyword": named(functools.partial(async_orders, customer="ann")),
    "async by position": named(functools.partial(async_orders, "ann")),
    "without update_wrapper": tool(name="orders")(functools.partial(orders, "ann")),
    "of a wrapper": named(functools.partial(passes_on, customer="ann")),
    "wrapper of a partial": functools.wraps(named(functools.partial(orders, customer="ann")))(
        lambda *args, **kwargs: orders("ann", *args, **kwargs)
    ),
    "bound method": Account("ann").orders,
    "partial method": named(Account("bob").of_ann),
    "object": tool(name="orders")(Account("ann")),
    "wrapper with arguments of its own": own_arguments,
}
ALL_BOUND: dict[str, Callable[..., Any]] = {
    "keywords": named(functools.partial(orders, customer="ann", limit=1)),
    "positions": named(functools.partial(orders, "ann", 1)),
    "partial of a partial": named(functools.partial(functools.partial(orders, "ann"), limit=1)),
    "partial of a named partial": named(functools.partial(named(functools.partial(orders, "ann")), limit=1)),
    "rebound default": named(functools.partial(functools.partial(orders, "ann", limit=7), limit=1)),
    "partial method of a partial": named(functools.partial(Account("bob").first_of_ann)),
}


@pytest.mark.parametrize("kind", OPEN_LIMIT)
async def test_bound_argument_is_neither_shown_nor_changeable(kind: str) -> None:
    compiled = CompiledTools([OPEN_LIMIT[kind]])
    (definition,) = compiled.definitions
    assert list(definition.schema["properties"]) == ["limit"]
    assert definition.schema["properties"]["limit"]["type"] == "integer"
    assert "required" not in definition.schema
    tools = ToolDispatcher(compiled)
    assert (await tools.run("1", "orders", '{"limit": 3}')).result == "3 orders of ann"
    assert (await tools.run("2", "orders", "{}")).result == "10 orders of ann"
    refused = await tools.run("3", "orders", '{"customer": "bob"}')
    assert refused.error == "Tool orders: customer: Extra inputs are not permitted"


@pytest.mark.parametrize("kind", ALL_BOUND)
async def test_where_all_is_bound_nothing_is_open(kind: str) -> None:
    compiled = CompiledTools([ALL_BOUND[kind]])
    assert compiled.definitions[0].schema["properties"] == {}
    tools = ToolDispatcher(compiled)
    assert (await tools.run("1", "orders", "{}")).result == "1 orders of ann"
    for arguments in ('{"customer": "bob"}', '{"limit": 3}'):
        assert "Extra inputs" in (await tools.run(arguments, "orders", arguments)).error


async def test_wrapper_that_passes_everything_on_shows_the_arguments_of_what_it_wraps() -> None:
    compiled = CompiledTools([passes_on, functools.lru_cache(tool(name="cached")(lambda city="Rome": city))])
    assert [list(definition.schema["properties"]) for definition in compiled.definitions] == [
        ["customer", "limit"],
        ["city"],
    ]
    assert compiled.definitions[0].schema["properties"]["customer"]["description"] == "Whose."
    assert (await ToolDispatcher(compiled).run("1", "orders", '{"customer": "eve"}')).result == "10 orders of eve"


def test_description_of_a_partial_is_that_of_its_function() -> None:
    compiled = CompiledTools([tool(name="orders")(functools.partial(orders, "ann"))])
    assert compiled.definitions[0].description == "The last orders."
    assert compiled.definitions[0].schema["properties"]["limit"]["description"] == "How many."


def test_partial_that_binds_too_much_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="more arguments are bound"):
        CompiledTools([named(functools.partial(orders, "ann", 1, 2))])  # type: ignore[call-arg]
