"""The configuration that gateway and facade share."""

import json
import re
from typing import Any

import pytest

from trunkline import registry
from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig, VADMode, provider_factory
from trunkline.testing.fake_provider import FakeProvider
from trunkline.tools import ToolDefinition, ToolDispatcher


async def opening_hours(day: str, holiday: bool = False) -> dict[str, str]:
    """When the shop is open.

    Args:
        day: A day of the week.
    """
    if day == "never":
        raise ValueError("there is no such day")
    return {"day": day, "hours": "closed" if holiday else "seven to six"}


def test_what_is_not_set_is_none() -> None:
    config = RealtimeConfig()
    assert config.vad_mode is VADMode.SERVER
    unset = ("temperature", "vad_threshold", "vad_prefix_padding_ms", "vad_silence_duration_ms", "max_tokens")
    assert [getattr(config, name) for name in (*unset, "transcribe_input", "transcribe_output")] == [None] * 7
    assert config.to_json() == {"vad_mode": "server"}


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
        ("temperature", float("nan")),
        ("temperature", True),
        ("vad_threshold", "0.5"),
        ("max_tokens", 1.5),
        ("transcribe_input", "no"),
        ("name", [{"description": "nameless"}]),
        ("functions", [{"name": "t", "strict": True}]),
    ],
)
def test_values_out_of_bounds_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig, match=field):
        RealtimeConfig(**{"functions" if field == "name" else field: value})


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


async def test_functions_and_definitions_are_tools_of_the_session() -> None:
    asked: list[tuple[str, str, str]] = []

    def other(call_id: str, name: str, arguments: str) -> str:
        asked.append((call_id, name, arguments))
        return "done"

    book = {"name": "book", "description": "Book a table."}
    config = RealtimeConfig(functions=[book], tools=[opening_hours], on_function_call=other).to_process_config()
    book_definition, hours = config.definitions
    assert book_definition == ToolDefinition("book", "Book a table.")
    assert hours.description == "When the shop is open."
    assert hours.schema["properties"]["day"] == {"type": "string", "description": "A day of the week."}
    assert hours.schema["required"] == ["day"]

    tools = ToolDispatcher(config.compiled_tools)
    answered = await tools.run("call_1", "opening_hours", '{"day": "Monday"}')
    assert (answered.result, answered.error) == ('{"day":"Monday","hours":"seven to six"}', "")
    failed = await tools.run("call_2", "opening_hours", '{"day": "never"}')
    assert failed.error == "Tool opening_hours: failed"
    wrong = await tools.run("call_3", "opening_hours", '{"dya": "Monday"}')
    assert "day: Field required" in wrong.error
    assert (await tools.run("call_4", "book", "{}")).result == "done"
    assert asked == [("call_4", "book", "{}")]


async def test_sessions_of_one_configuration_share_no_state() -> None:
    config = RealtimeConfig(tools=[opening_hours])
    for _ in range(12):
        tools = ToolDispatcher(config.to_process_config().compiled_tools)
        assert not (await tools.run("call_1", "opening_hours", '{"day": "Monday"}')).error


async def test_definition_that_nobody_runs_is_shown_to_the_model() -> None:
    config = RealtimeConfig(functions=[ToolDefinition("book")], tools=[opening_hours]).to_process_config()
    tools = ToolDispatcher(config.compiled_tools)
    assert (await tools.run("call_1", "book", "{}")).error == "Tool book not found"


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_form_survives_the_way_there_and_back() -> None:
    config = RealtimeConfig(
        provider="openai",
        model="gpt-realtime",
        voice="alloy",
        instructions="Be brief.",
        functions=[ToolDefinition("book", "Book a table.", timeout=3)],
        temperature=0.0,
        vad_mode=VADMode.MANUAL,
        vad_threshold=0.0,
        vad_silence_duration_ms=0,
        max_tokens=100,
        transcribe_input=False,
    )
    values = json.loads(json.dumps(config.to_json()))
    assert values["functions"] == [
        {
            "name": "book",
            "description": "Book a table.",
            "parameters": {"type": "object", "properties": {}},
            "timeout": 3,
        }
    ]
    assert RealtimeConfig.from_json(values).to_json() == values
    assert RealtimeConfig.from_json(json.dumps(values)).transcribe_input is False
    assert RealtimeConfig.from_json(values).temperature == 0.0


def test_json_form_holds_what_the_model_is_told_of_functions_and_no_key() -> None:
    values = RealtimeConfig(api_key="secret", tools=[opening_hours], on_function_call=print).to_json()
    assert values["functions"][0]["name"] == "opening_hours"
    assert set(values) == {"vad_mode", "functions"}
    assert RealtimeConfig.from_json({"api_key": "secret", "voice": None}).api_key == "secret"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"vioce": "alloy"}', "vioce: is unknown; known are api_key, "),
        ('{"on_function_call": "f"}', "on_function_call: is unknown"),
        ('{"temperature": 3}', "temperature: must be between 0 and 2, got 3"),
        ('{"max_tokens": 0}', "max_tokens: must be a whole number, at least 1, got 0"),
        ('{"functions": [{"name": "check in"}]}', "name: of a tool must be"),
    ],
)
def test_json_that_cannot_be_a_configuration_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(message)):
        RealtimeConfig.from_json(text)


# ── factories ────────────────────────────────────────────────────────────────────────────────────────────────────────


class MineFactory:
    def name(self) -> str:
        return "mine"

    def create(self, config: RealtimeConfig) -> FakeProvider:
        return FakeProvider(name=f"mine-{config.voice}")


class MineProvider:
    @staticmethod
    def factory() -> MineFactory:
        return MineFactory()


@pytest.mark.parametrize("registered", [MineFactory(), MineProvider])
def test_factory_is_found_by_name(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, ("realtime", "mine"), (registry.THIN, registered))
    assert provider_factory("mine").create(RealtimeConfig(voice="v")).name == "mine-v"
    assert provider_factory("openai").name() == "openai"


@pytest.mark.parametrize("registered", [MineFactory, FakeProvider, "mine"])
def test_entry_point_that_offers_no_factory_is_refused(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered, ("realtime", "mine"), (registry.THIN, registered))
    with pytest.raises(InvalidConfig, match="offers no RealtimeProviderFactory"):
        provider_factory("mine")
