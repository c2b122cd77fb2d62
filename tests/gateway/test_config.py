"""What cannot work is refused when the gateway is built, by name and without showing a secret."""

from typing import Any

import pytest

from trunkline import audio
from trunkline import gateway as gateway_package
from trunkline.errors import InvalidConfig
from trunkline.gateway import GatewayConfig
from trunkline.gateway.twilio import TwilioGateway
from trunkline.pipeline import InterruptionMode, InterruptionPolicy
from trunkline.realtime import OpenAIRealtimeProvider, RealtimeConfig
from trunkline.tools import ToolDefinition


def build(**options: Any) -> TwilioGateway:
    settings: dict[str, Any] = {
        "auth_token": "t",
        "listen_addr": "127.0.0.1:0",
        "realtime_provider": OpenAIRealtimeProvider(api_key="sk-test"),
    }
    return TwilioGateway(**(settings | options))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("public_url", "https://user:secret@agent.example.com"),
        ("public_url", "https://agent.example.com:secret"),
        ("public_url", "https://agent.example.com:99999"),
        ("public_url", "https://[secret"),
        ("public_url", "https://agent.example.com/?secret"),
        ("public_url", "https://agent.example.com/#secret"),
        ("public_url", "https://agent.example.com/a secret"),
        ("public_url", "https://agent.example.com\n"),
        ("public_url", "https://"),
        ("public_url", "wss://agent.example.com"),
        ("public_url", "http://agent.example.com"),
        ("listen_addr", "8080"),
        ("listen_addr", 8080),
        ("listen_addr", ":99999"),
        ("listen_addr", ":8080\n"),
        ("listen_addr", " 127.0.0.1:8080"),
        ("listen_addr", "'127.0.0.1:8080"),
        ("max_session_duration", "900"),
        ("max_concurrent_calls", 0),
        ("max_concurrent_calls", True),
        ("max_concurrent_calls", 2.5),
        ("start_timeout", float("nan")),
        ("stop_timeout", -1),
        ("stop_timeout", "10"),
        ("mode", "text"),
        ("realtime_provider", OpenAIRealtimeProvider),
        ("realtime_provider", "openai"),
        ("tools", ["get_weather"]),
        ("tool_handlers", {"get_weather": print}),
    ],
)
def test_a_wrong_value_is_named(option: str, value: object) -> None:
    with pytest.raises(InvalidConfig) as refused:
        build(**{option: value})
    assert refused.value.field == option
    assert "secret" not in str(refused.value)


def test_tools_of_the_realtime_config_count() -> None:
    weather = ToolDefinition("get_weather")
    build(realtime_config=RealtimeConfig(functions=[weather]), tool_handlers={"get_weather": lambda _: "rain"})


@pytest.mark.parametrize(
    "url", ["https://agent.example.com:8443/phone/", "http://127.0.0.1:8080", "https://[2001:db8::1]"]
)
def test_ordinary_addresses_are_taken(url: str) -> None:
    assert build(public_url=url, listen_addr=":0").public_url == url.rstrip("/")


SLIPS = [
    "{}\n",
    " {}",
    "{}\t",
    "{}\r\n",
    '"{}"',
    "'{}'",
    "`{}`",
    "\u201c{}\u201d",
    "\u00a0{}",
    "{}\u200b",
    "\ufeff{}",
    "{}\x00",
]


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("option", ["auth_token", "account_sid", "public_url"])
def test_slip_of_the_keyboard_is_refused_when_built(option: str, slip: str) -> None:
    value = "https://agent.example.com/secret" if option == "public_url" else "0123456789abcdefsecret"
    build(**{option: value})
    with pytest.raises(InvalidConfig) as refused:
        build(**{option: slip.format(value)})
    assert refused.value.field == option
    assert "secret" not in f"{refused.value} {refused.value!r}"


@pytest.mark.parametrize("value", [None, b"0123456789abcdef", 123])
def test_token_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidConfig, match="auth_token"):
        build(auth_token=value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HTTPS://agent.example.com", "https://agent.example.com"),
        ("Https://agent.example.com:/phone/", "https://agent.example.com/phone"),
        ("https://agent.example.com:", "https://agent.example.com"),
        ("https://agent.example.com//", "https://agent.example.com"),
        ("HTTP://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_spelling_of_the_public_url_is_of_no_consequence(written: str, meant: str) -> None:
    gateway = build(public_url=written)
    assert gateway.public_url == meant
    assert gateway.socket_url("/ws") == meant.replace("http", "ws", 1) + "/ws"


def test_names_of_the_gateway_package_are_those_of_audio() -> None:
    for name in (
        "TWILIO",
        "TELNYX",
        "VONAGE",
        "PLIVO",
        "OPENAI",
        "GEMINI_INPUT",
        "GEMINI_OUTPUT",
        "AudioFormat",
        "AudioConverter",
    ):
        assert getattr(gateway_package, name) is getattr(audio, name)
    assert gateway_package.Session is gateway_package.CallSession


def test_zero_seconds_are_enough_to_stop() -> None:
    assert build(stop_timeout=0).config.stop_timeout == 0


def test_no_secret_is_shown() -> None:
    config = RealtimeConfig(api_key="sk-very-secret")
    factory = OpenAIRealtimeProvider.factory()
    gateway = build(auth_token="very-secret", realtime_provider=factory, realtime_config=config)
    assert "secret" not in f"{gateway!r} {gateway.config!r} {gateway.__dict__!r}"


@pytest.mark.parametrize(
    ("addr", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("localhost:1", ("localhost", 1))],
)
def test_where_to_listen(addr: str, address: tuple[str, int]) -> None:
    assert GatewayConfig(listen_addr=addr).address == address


def test_how_the_caller_interrupts_is_a_mode_or_a_policy() -> None:
    assert GatewayConfig(listen_addr="127.0.0.1:0").interruption == InterruptionPolicy()
    gently = GatewayConfig(listen_addr="127.0.0.1:0", interruption_mode="after_sentence")
    assert gently.interruption.mode is InterruptionMode.AFTER_SENTENCE
    policy = InterruptionPolicy(min_speech_ms=200)
    assert GatewayConfig(listen_addr="127.0.0.1:0", interruption_mode=policy).interruption is policy
    with pytest.raises(InvalidConfig, match="interruption_mode"):
        GatewayConfig(listen_addr="127.0.0.1:0", interruption_mode="never")  # type: ignore[arg-type]
