"""Gateways by name: the registry, and options in every spelling."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trunkline
from trunkline import registry
from trunkline.errors import InvalidConfig, UnknownProvider
from trunkline.gateway import (
    GatewayWrapper,
    PipelineMode,
    get_gateway_provider,
    get_gateway_provider_priority,
    has_gateway_provider,
    list_gateway_providers,
    options,
    register_gateway_provider,
)
from trunkline.gateway.twilio import TwilioConfig, TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider, RealtimeConfig
from trunkline.tools import ToolDefinition


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


FACTORY = options.with_realtime_provider_factory(OpenAIRealtimeProvider.factory())
KEY = options.with_realtime_config(RealtimeConfig(api_key="sk-test"))


def built(*given: options.Option) -> TwilioConfig:
    gateway = get_gateway_provider("twilio", options.with_api_key("token"), FACTORY, KEY, *given)
    assert isinstance(gateway, TwilioGateway)
    assert isinstance(gateway.config, TwilioConfig)
    return gateway.config


def test_guide_builds_the_gateway_itself() -> None:
    wrapper = trunkline.get_gateway_provider(
        "twilio",
        trunkline.with_api_key("token"),
        trunkline.with_extension("accountSID", "AC1"),
        trunkline.with_extension("phoneNumber", "+15551234567"),
        trunkline.with_extension("publicURL", "https://your-server.com"),
        trunkline.with_extension("listenAddr", ":8080"),
        FACTORY,
        KEY,
    )
    assert isinstance(wrapper, GatewayWrapper)
    gateway = wrapper.gateway()
    assert gateway is wrapper
    config = gateway.config
    assert isinstance(config, TwilioConfig)
    assert (config.auth_token, config.account_sid) == ("token", "AC1")
    assert (config.phone_number, config.public_url) == ("+15551234567", "https://your-server.com")
    assert config.listen_addr == ":8080"


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("maxSessionDuration", "max_session_duration", 900.0),
        ("max_session_duration", "max_session_duration", 900.0),
        ("interruptionMode", "interruption_mode", "disabled"),
        ("pipelineMode", "mode", PipelineMode.REALTIME),
        ("mode", "mode", "realtime"),
        ("verifySignatures", "verify_signatures", False),
        ("webhookURL", "public_url", "https://agent.example.com"),
    ],
)
def test_extension_is_read_in_both_spellings(key: str, field: str, value: object) -> None:
    config = built(options.with_listen_addr("127.0.0.1:0"), options.with_extension(key, value))
    assert getattr(config, field) == value


def test_every_text_option_names_its_field() -> None:
    for name in ("stt", "tts", "llm"):
        for what in ("provider", "api_key", "model"):
            option = getattr(options, f"with_{name}_{what}")("x")
            assert (option.key, option.value) == (f"{name}_{what}", "x")
    assert options.with_stt_language("en") == options.Option("stt_language", "en")
    assert options.with_tts_voice_id("v") == options.Option("tts_voice_id", "v")
    assert options.with_llm_system_prompt("p") == options.Option("llm_system_prompt", "p")
    assert options.with_llm_client(print) == options.Option("llm_client", print)
    with pytest.raises(InvalidConfig, match="stt_model: has no effect in realtime mode"):
        built(options.with_listen_addr("127.0.0.1:0"), options.with_stt_model("nova-2"))


def test_options_of_the_session_go_into_its_configuration() -> None:
    config = built(
        options.with_public_url("https://agent.example.com"),
        options.with_voice("marin"),
        options.with_model("gpt-realtime"),
        options.with_instructions("Be brief."),
        options.with_greeting("Hello"),
    )
    assert config.realtime_config == RealtimeConfig(
        api_key="sk-test", voice="marin", model="gpt-realtime", instructions="Be brief."
    )
    assert config.greeting == "Hello"


def test_handlers_of_tools_add_up() -> None:
    tools = [ToolDefinition("one"), ToolDefinition("two")]
    config = built(
        options.with_listen_addr("127.0.0.1:0"),
        options.with_tools(tools),
        options.with_tool_handlers({"one": print}),
        options.with_tool_handler("two", repr),
    )
    assert config.tool_handlers == {"one": print, "two": repr}


def test_unknown_key_is_refused_as_it_was_written() -> None:
    with pytest.raises(InvalidConfig) as refused:
        built(options.with_extension("acountSID", "AC1"), options.with_connection_id("1"))
    assert [refused.value.field, *(other.field for other in refused.value.others)] == ["acountSID", "connection_id"]
    assert "account_sid" in refused.value.reason


def test_option_shows_no_secret() -> None:
    assert "secret" not in repr(options.with_api_key("secret"))


# ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_name_of_nobody_lists_what_there_is() -> None:
    assert not has_gateway_provider("nobody")
    assert get_gateway_provider_priority("nobody") == -1
    with pytest.raises(UnknownProvider, match=r"unknown gateways provider 'nobody'; available: .*twilio"):
        get_gateway_provider("nobody")


def test_higher_or_equal_priority_replaces() -> None:
    made: list[dict[str, Any]] = []

    def mine(**settings: Any) -> str:
        made.append(settings)
        return "mine"

    register_gateway_provider("Twilio", mine, priority=10)
    assert get_gateway_provider("twilio", options.with_api_key("k"), options.with_extension("fooBar", 1)) == "mine"
    assert made == [{"api_key": "k", "foo_bar": 1}]
    register_gateway_provider("twilio", TwilioGateway)
    assert get_gateway_provider("twilio") == "mine", "what has a lower priority does not replace"
    assert get_gateway_provider_priority("twilio") == 10
    register_gateway_provider("twilio", lambda: "yours", priority=10)
    assert get_gateway_provider("twilio") == "yours"
    register_gateway_provider("pigeon", lambda: "pigeon")
    assert has_gateway_provider("pigeon")
    assert {"pigeon", "twilio"} <= set(list_gateway_providers())
    assert list_gateway_providers() == sorted(list_gateway_providers())


@pytest.mark.parametrize("option", [options.with_base_url, options.with_endpoint])
def test_base_url_is_where_the_carriers_rest_interface_is(option: Callable[[str], options.Option]) -> None:
    account, listen = options.with_account_sid("AC1"), options.with_listen_addr("127.0.0.1:0")
    assert built(listen, account).api_base_url == "https://api.twilio.com"
    assert built(listen, account, option("https://api.dublin.ie1.twilio.com/")).api_base_url == (
        "https://api.dublin.ie1.twilio.com"
    )
    with pytest.raises(InvalidConfig, match="api_base_url: has no effect without account_sid"):
        built(listen, option("https://api.dublin.ie1.twilio.com"))
    with pytest.raises(InvalidConfig, match="api_base_url: must be https"):
        built(listen, account, option("http://api.twilio.com"))
