"""The configuration that gateway and facade share."""

from typing import Any

import pytest

from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.tools import ToolDefinition, ToolDispatcher


async def opening_hours(day: str, holiday: bool = False) -> dict[str, str]:
    """When the shop is open.

    Args:
        day: A day of the week.
    """
    if day == "never":
        raise ValueError("there is no such day")
    return {"day": day, "hours": "closed" if holiday else "seven to six"}


def test_defaults() -> None:
    config = RealtimeConfig()
    assert config.vad_mode is VADMode.SERVER
    assert (config.vad_threshold, config.vad_prefix_padding_ms, config.vad_silence_duration_ms) == (0.5, 300, 500)
    assert (config.max_tokens, config.temperature) == (4096, None)
    assert config.transcribe_input
    assert config.transcribe_output


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("vad_threshold", 1.5),
        ("vad_prefix_padding_ms", -1),
        ("vad_silence_duration_ms", -1),
        ("max_tokens", 0),
        ("vad_mode", "sometimes"),
        ("tools", [print]),
        ("tools", ["get_weather"]),
        ("functions", [opening_hours]),
        ("functions", ["get_weather"]),
    ],
)
def test_values_out_of_bounds_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig, match=field):
        RealtimeConfig(**{field: value})


def test_the_mode_may_be_a_word() -> None:
    assert RealtimeConfig(vad_mode="manual").vad_mode is VADMode.MANUAL  # type: ignore[arg-type]


def test_the_part_about_one_session() -> None:
    def run(call_id: str, name: str, arguments: str) -> str:
        return ""

    one, two = ToolDefinition("one"), ToolDefinition("two")
    config = RealtimeConfig(
        voice="alloy", instructions="Be brief.", functions=[one], tools=[two], on_function_call=run, temperature=0.5
    ).to_process_config()
    assert (config.voice, config.instructions, config.temperature) == ("alloy", "Be brief.", 0.5)
    assert tuple(config.functions) == (one, two)
    assert config.on_function_call is run


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(RealtimeConfig(api_key="secret"))


async def test_plain_functions_are_tools() -> None:
    asked: list[tuple[str, str, str]] = []

    def other(call_id: str, name: str, arguments: str) -> str:
        asked.append((call_id, name, arguments))
        return "done"

    book = ToolDefinition("book")
    config = RealtimeConfig(functions=[book], tools=[opening_hours], on_function_call=other).to_process_config()
    assert [tool.name for tool in config.functions] == ["book", "opening_hours"]
    hours = config.functions[1]
    assert hours.description == "When the shop is open."
    assert hours.schema["properties"]["day"] == {"type": "string", "description": "A day of the week."}
    assert hours.schema["required"] == ["day"]

    # As whoever owns the session runs the calls: the bridge, or the stream.
    tools = ToolDispatcher(config.functions, on_function_call=config.on_function_call)
    answered = await tools.run("call_1", "opening_hours", '{"day": "Monday"}')
    assert (answered.result, answered.error) == ('{"day":"Monday","hours":"seven to six"}', "")
    failed = await tools.run("call_2", "opening_hours", '{"day": "never"}')
    assert failed.error == "Tool opening_hours: failed"
    wrong = await tools.run("call_3", "opening_hours", '{"dya": "Monday"}')
    assert '"day" is a required property' in wrong.error
    assert (await tools.run("call_4", "book", "{}")).result == "done"
    assert asked == [("call_4", "book", "{}")]


async def test_a_definition_that_nobody_runs_is_told_to_the_model() -> None:
    config = RealtimeConfig(functions=[ToolDefinition("book")], tools=[opening_hours]).to_process_config()
    tools = ToolDispatcher(config.functions, on_function_call=config.on_function_call)
    assert (await tools.run("call_1", "book", "{}")).error == "Tool book not found"
