"""What cannot work is refused when the gateway is built, by name and without showing a secret."""

from pathlib import Path
from typing import Any

import pytest

from trunkline import audio
from trunkline import gateway as gateway_package
from trunkline.errors import InvalidConfig, UnknownProvider
from trunkline.gateway import GatewayConfig, PipelineMode
from trunkline.gateway.config_file import carrier_class
from trunkline.gateway.twilio import TwilioConfig, TwilioGateway
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
        ("mode", "speech"),
        ("realtime_provider", OpenAIRealtimeProvider),
        ("stt_provider", "deepgram"),
        ("stt_api_key", "a secret"),
        ("idle_prompt", "Are you there?"),
        ("idle_timeout", 0),
        ("max_idle_prompts", 3),
        ("greeting_interruptible", False),
        ("max_calls_per_caller", 0),
        ("on_call_timeout", 0),
        ("media_timeout", "60"),
        ("recording_dir", 7),
        ("greeting", b"Hello"),
        ("grreting", "Hello"),
        ("tools", ["get_weather"]),
        ("tool_handlers", {"get_weather": print}),
    ],
)
def test_a_wrong_value_is_named(option: str, value: object) -> None:
    with pytest.raises(InvalidConfig) as refused:
        build(**{option: value})
    assert refused.value.field == option
    assert "secret" not in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidConfig) as refused:
        TwilioGateway(
            public_url="http://agent.example.com",
            account_sid="AC 1",
            max_concurrent_calls=0,
            mode="realtime",
            tts_provider="elevenlabs",
            idle_prompt="Are you there?",
            tools=["weather"],  # type: ignore[list-item]
            realtime_config={"temperature": 7},
            colour="blue",  # type: ignore[call-arg]
        )
    told = {refused.value.field, *(other.field for other in refused.value.others)}
    assert told == {
        "public_url",
        "account_sid",
        "auth_token",
        "max_concurrent_calls",
        "tts_provider",
        "idle_prompt",
        "tools",
        "realtime_config",
        "colour",
    }
    for field in told:
        assert f"{field}: " in str(refused.value)
    assert "greeting_interruptible" in str(refused.value), "what is unknown is told what is known"


def test_mode_follows_from_what_is_given() -> None:
    assert GatewayConfig(listen_addr="127.0.0.1:0").mode is PipelineMode.TEXT
    assert GatewayConfig(listen_addr="127.0.0.1:0", realtime_config=RealtimeConfig()).mode is PipelineMode.REALTIME
    assert GatewayConfig(listen_addr="127.0.0.1:0", realtime_provider="openai").mode is PipelineMode.REALTIME
    with pytest.raises(InvalidConfig, match="realtime_provider: is needed in realtime mode"):
        GatewayConfig(listen_addr="127.0.0.1:0", mode="realtime")
    with pytest.raises(InvalidConfig, match="realtime_config: has no effect in text mode"):
        GatewayConfig(listen_addr="127.0.0.1:0", mode="text", realtime_config=RealtimeConfig())


def test_text_mode_takes_names_or_objects_but_no_model_beside_an_object() -> None:
    address = {"listen_addr": "127.0.0.1:0"}
    config = GatewayConfig(
        **address, stt_provider="deepgram", stt_model="nova-2-medical", llm_client=print, llm_model="m"
    )
    assert (config.mode, config.stt_model, config.llm_client) == (PipelineMode.TEXT, "nova-2-medical", print)
    with pytest.raises(InvalidConfig, match="stt_model: has no effect beside a stt_provider that is made"):
        GatewayConfig(**address, stt_provider=object(), stt_model="nova-2")
    with pytest.raises(InvalidConfig, match=r"mode: text mode needs trunkline\.pipeline\.CascadeProvider"):
        TwilioGateway(auth_token="t", listen_addr="127.0.0.1:0", stt_provider="deepgram")


def test_named_provider_is_made() -> None:
    config = RealtimeConfig(api_key="sk-test", model="gpt-realtime")
    assert build(realtime_provider="openai", realtime_config=config)._bridge_config.provider.name
    with pytest.raises(UnknownProvider, match="openai"):
        build(realtime_provider="opnai")


# ── file and environment ─────────────────────────────────────────────────────────────────────────────────────────────

TOML = """
carrier = "twilio"
listen_addr = "127.0.0.1:0"
greeting = "Hello"
max_session_duration = 900
interruption_mode = "after_sentence"
account_sid = "AC1"

[realtime_config]
provider = "openai"
api_key = "sk-test"
voice = "marin"
"""


def test_file_and_environment_give_the_same_keywords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOML)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "from-the-environment")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC2")
    monkeypatch.setenv("TRUNKLINE_MAX_CONCURRENT_CALLS", "7")
    monkeypatch.setenv("TRUNKLINE_GREETING", "Good day")
    monkeypatch.setenv("TRUNKLINE_RECORDING_DIR", str(tmp_path))
    assert carrier_class(path) is TwilioGateway
    config = TwilioGateway.from_config(path, goodbye="Bye").config
    assert isinstance(config, TwilioConfig)
    assert (config.account_sid, config.auth_token) == ("AC1", "from-the-environment")
    assert (config.max_session_duration, config.max_concurrent_calls) == (900, 7)
    assert (config.greeting, config.goodbye, config.recording_dir) == ("Good day", "Bye", tmp_path)
    assert config.interruption.mode is InterruptionMode.AFTER_SENTENCE
    assert config.realtime_config == RealtimeConfig(provider="openai", api_key="sk-test", voice="marin")


def test_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "t")
    monkeypatch.setenv("TRUNKLINE_LISTEN_ADDR", "127.0.0.1:0")
    monkeypatch.setenv("TRUNKLINE_REALTIME_PROVIDER", "openai")
    monkeypatch.setenv("TRUNKLINE_REALTIME_CONFIG", '{"api_key": "sk-test"}')
    assert TwilioGateway.from_config().config.mode is PipelineMode.REALTIME
    monkeypatch.setenv("TRUNKLINE_MAX_CONCURRENT_CALLS", "many")
    with pytest.raises(InvalidConfig, match="max_concurrent_calls: must be a valid integer, got 'many'"):
        TwilioGateway.from_config()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("carrier = 'telnyx'", "carrier: must be 'twilio' here, got 'telnyx'"),
        ("greeting = 'unclosed", "config: .* is not TOML"),
        ("auth_token = 't'\nlisten_addr = '127.0.0.1:0'\ngreting = 'Hello'", "greting: is unknown"),
        ("[realtime_config]\nmodle = 'x'", "realtime_config: modle: is unknown"),
    ],
)
def test_file_that_cannot_work_says_why(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(InvalidConfig, match=why):
        TwilioGateway.from_config(path)


def test_file_must_be_there_and_name_a_carrier(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    with pytest.raises(InvalidConfig, match=r"config: .*agent\.toml cannot be read"):
        TwilioGateway.from_config(path)
    path.write_text("greeting = 'Hello'")
    with pytest.raises(InvalidConfig, match=r"carrier: must be one of .*twilio.*, got None"):
        carrier_class(path)
    path.write_text("carrier = 'pigeon'")
    with pytest.raises(UnknownProvider, match="twilio"):
        carrier_class(path)


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
        GatewayConfig(listen_addr="127.0.0.1:0", interruption_mode="never")
