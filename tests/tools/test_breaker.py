"""A model that only calls tools and says nothing is stopped."""

import json

from trunkline.tools import CompiledTools, ToolDefinition, ToolDispatcher


async def test_a_model_that_goes_in_circles_is_stopped_until_the_user_speaks() -> None:
    tools = ToolDispatcher(CompiledTools([ToolDefinition("look")], {"look": lambda _: "nothing"}), max_rounds=2)

    async def look(call_id: str, response_id: str = "") -> str:
        return (await tools.run(call_id, "look", "{}", response_id=response_id)).result

    assert [await look("1", "r1"), await look("2", "r1"), await look("3")] == ["nothing"] * 3
    assert tools.counters.rounds == 2
    refused = json.loads(await look("4"))
    assert refused == {"error": "too many tool calls in a row; answer the caller with what you know"}
    tools.user_spoke()
    assert tools.counters.rounds == 0
    assert await look("5") == "nothing"
    counters = tools.counters
    assert (counters.calls, counters.successes, counters.refused) == (5, 4, 1)


async def test_the_default_is_ten_rounds() -> None:
    tools = ToolDispatcher(CompiledTools([ToolDefinition("look")], {"look": lambda _: "nothing"}))
    answers = [(await tools.run(str(n), "look", "{}")).error for n in range(11)]
    assert [bool(error) for error in answers] == [False] * 10 + [True]
