"""The configuration that gateway and facade share."""

from typing import Any

import pytest

from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.tools.definition import ToolDefinition


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
