"""Where the provider connects, what it refuses, and how it is made of a configuration."""

from typing import Any

import anyio
import pytest

from tests.realtime.qwen.scripted_qwen import KEY
from trunkline import registry
from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig, VADMode, provider_factory
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.qwen import QwenRealtimeProvider, TurnDetection, new_factory


def test_regions_and_workspaces_have_their_addresses() -> None:
    assert QwenRealtimeProvider(api_key=KEY)._url.startswith("wss://dashscope.aliyuncs.com/api-ws/v1/realtime?model=")
    abroad = QwenRealtimeProvider(api_key=KEY, region="international")
    assert abroad._url.startswith("wss://dashscope-intl.aliyuncs.com/")
    own = QwenRealtimeProvider.for_workspace("ws-1", region="ap-southeast-1", api_key=KEY)
    assert own._url.startswith("wss://ws-1.ap-southeast-1.maas.aliyuncs.com/api-ws/v1/realtime?model=")
    assert own._limit == 7200
    for bad in ("evil.example.com/", "a@b", ""):
        with pytest.raises(InvalidConfig):
            QwenRealtimeProvider.for_workspace(bad, api_key=KEY)


def test_key_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    with pytest.raises(InvalidConfig, match="DASHSCOPE_API_KEY"):
        QwenRealtimeProvider()
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    assert KEY not in repr(QwenRealtimeProvider())


@pytest.mark.parametrize("options", [{"speed": 1.0}, {"region": "moon"}, {"turn_detection": "server_vad"}])
def test_options_that_do_not_exist_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        QwenRealtimeProvider(api_key=KEY, **options)


def test_extensions_reach_the_wire_and_unknown_ones_do_not() -> None:
    provider = QwenRealtimeProvider(api_key=KEY)
    wanted = provider._session_object(ProcessConfig(extensions={"qwen": {"seed": 7}}))
    assert wanted["seed"] == 7
    with pytest.raises(InvalidConfig, match=r"session\.sed"):
        provider._session_object(ProcessConfig(extensions={"qwen": {"sed": 7}}))
    with pytest.raises(InvalidConfig, match="resume_handle"):
        raise_when_connecting(provider)


def raise_when_connecting(provider: QwenRealtimeProvider) -> None:
    async def connect() -> None:
        async with provider.connect(ProcessConfig(resume_handle="h")):
            pytest.fail("it must not open")

    anyio.run(connect)


def test_factory_makes_providers_of_a_configuration() -> None:
    assert registry.get("realtime", "qwen") is QwenRealtimeProvider
    assert provider_factory("qwen").name() == "qwen"
    config = RealtimeConfig(
        provider="qwen", api_key=KEY, voice="Ethan", vad_threshold=0.3, max_tokens=99, transcribe_input=False
    )
    wanted = new_factory(region="international").create(config)._session_object(ProcessConfig())
    assert (wanted["voice"], wanted["max_tokens"]) == ("Ethan", 99)
    assert wanted["turn_detection"]["threshold"] == 0.3
    assert wanted["input_audio_transcription"] is None
    by_hand = new_factory(turn_detection=TurnDetection()).create(RealtimeConfig(api_key=KEY, vad_mode=VADMode.MANUAL))
    assert by_hand._session_object(ProcessConfig())["turn_detection"] is None
    with pytest.raises(InvalidConfig):
        new_factory().create(RealtimeConfig(provider="openai", api_key=KEY))
