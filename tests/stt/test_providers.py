"""How vendors of speech to text are configured, and what they then ask for."""

from urllib.parse import parse_qs

import pytest

from trunkline import registry
from trunkline.audio import TWILIO, AudioFormat
from trunkline.errors import AuthFailed, InvalidConfig, ProviderUnavailable, RequestRejected
from trunkline.stt import (
    DeepgramSTT,
    ElevenLabsSTT,
    LocalSTT,
    OpenAISTT,
    SessionEnded,
    SpeechToText,
    Transcript,
)
from trunkline.testing import DeepgramSimulator, ElevenLabsSimulator, OpenAISimulator
from trunkline.testing.deepgram import SendEvent
from trunkline.testing.faults import RefuseUpgrade
from trunkline.testing.suites.stt_stage import say, until

VENDORS = [
    (DeepgramSTT, "DEEPGRAM_API_KEY"),
    (OpenAISTT, "OPENAI_API_KEY"),
    (ElevenLabsSTT, "ELEVENLABS_API_KEY"),
]


@pytest.mark.parametrize(("make", "variable"), VENDORS)
def test_a_missing_key_names_its_variable(make: type, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidConfig, match=variable):
        make()
    monkeypatch.setenv(variable, "from-the-environment")
    made = make()
    assert isinstance(made, SpeechToText)
    assert "from-the-environment" not in repr(made)


@pytest.mark.parametrize(("make", "variable"), VENDORS)
def test_an_address_without_tls_is_for_this_machine_only(make: type, variable: str) -> None:
    make(api_key="k", base_url="http://127.0.0.1:1")
    with pytest.raises(InvalidConfig, match="base_url"):
        make(api_key="k", base_url="http://stt.example.com")
    with pytest.raises(InvalidConfig, match="keyterms"):
        make(api_key="k", keyterms="one text")


def test_vendors_are_found_by_their_names() -> None:
    assert registry.get("stt", "deepgram") is DeepgramSTT
    assert registry.get("stt", "openai") is OpenAISTT
    assert registry.get("stt", "elevenlabs") is ElevenLabsSTT
    assert registry.get("stt", "local") is LocalSTT


async def test_deepgram_asks_for_what_calls_need() -> None:
    async with DeepgramSimulator() as vendor:
        for stt in (
            DeepgramSTT(api_key="k", base_url=vendor.url, keyterms=["Trunkline"]),
            DeepgramSTT(api_key="k", base_url=vendor.url, model="nova-3-medical", language="de", keyterms=["a b", "c"]),
            DeepgramSTT(api_key="k", base_url=vendor.url, model="flux", keyterms=["a"], eot_timeout_ms=4000),
        ):
            async with stt.connect(TWILIO):
                pass
        nova2, nova3, flux = (parse_qs(request.query) for request in vendor.requests)
    assert nova2["model"] == ["nova-2"]
    assert nova2["language"] == ["en"]
    assert nova2["encoding"] == ["mulaw"]
    assert nova2["sample_rate"] == ["8000"]
    assert nova2["interim_results"] == nova2["vad_events"] == ["true"]
    assert nova2["keywords"] == ["Trunkline"]
    assert nova3["keyterm"] == ["a b", "c"]
    assert flux == {
        "model": ["flux-general-en"],
        "keyterm": ["a"],
        "eot_timeout_ms": ["4000"],
        "encoding": ["mulaw"],
        "sample_rate": ["8000"],
    }
    assert vendor.requests[0].headers.get("authorization") == "Token k"


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("language", {"model": "flux", "language": "de"}),
        ("eager_eot_threshold", {"model": "flux", "eager_eot_threshold": 0.8, "eot_threshold": 0.7}),
        ("eot_timeout_ms", {"model": "flux", "eot_timeout_ms": 100}),
        ("utterance_end_ms", {"utterance_end_ms": 500}),
    ],
)
def test_what_deepgram_would_refuse_is_refused_here(field: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=field):
        DeepgramSTT(api_key="k", **options)  # type: ignore[arg-type]


async def test_a_bad_parameter_is_told_with_the_vendors_reason() -> None:
    async with DeepgramSimulator() as vendor:
        stt = DeepgramSTT(api_key="k", base_url=vendor.url, language="english")
        with pytest.raises(RequestRejected, match="english"):
            async with stt.connect(TWILIO):
                pass


async def test_an_error_event_ends_the_session() -> None:
    async with DeepgramSimulator(transcripts=["hello there"]) as vendor:
        vendor.script([SendEvent(on="audio", nth=5, event={"type": "Error", "variant": "X", "description": "oh"})])
        stt = DeepgramSTT(api_key="k", base_url=vendor.url)
        async with stt.connect(TWILIO) as session:
            await session.send_audio(bytes(160))
            for _ in range(5):
                await session.send_audio(b"\xff" * 160)
            ended = (await until(session, SessionEnded))[-1]
    assert isinstance(ended, SessionEnded)
    assert str(ended.error) == "[X] oh"


async def test_elevenlabs_sends_a_bare_language_and_native_audio() -> None:
    async with ElevenLabsSimulator() as vendor:
        stt = ElevenLabsSTT(api_key="k", base_url=vendor.url, language="en-US", keyterms=["Trunkline"])
        async with stt.connect(TWILIO):
            pass
        async with stt.connect(AudioFormat("alaw", 8_000)):
            pass
        native, converted = (parse_qs(request.query) for request in vendor.requests)
    assert native == {
        "model_id": ["scribe_v2_realtime"],
        "commit_strategy": ["manual"],
        "language_code": ["en"],
        "keyterms": ["Trunkline"],
        "audio_format": ["ulaw_8000"],
    }
    assert converted["audio_format"] == ["pcm_16000"]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("commit", {"commit": "sometimes"}),
        ("vad_silence_ms", {"vad_silence_ms": 100}),
        ("keyterms", {"keyterms": ["x" * 21]}),
        ("keyterms", {"keyterms": ["x"] * 51}),
    ],
)
def test_what_elevenlabs_would_refuse_is_refused_here(field: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=field):
        ElevenLabsSTT(api_key="k", **options)  # type: ignore[arg-type]


async def test_elevenlabs_may_refuse_a_key_once_the_socket_is_open() -> None:
    async with ElevenLabsSimulator() as vendor:
        event = {"message_type": "auth_error", "error": "bad key sk_0123456789"}
        vendor.script([SendEvent(on="session_started", event=event)])
        async with ElevenLabsSTT(api_key="k", base_url=vendor.url).connect(TWILIO) as session:
            ended = (await until(session, SessionEnded))[-1]
    assert isinstance(ended, SessionEnded)
    assert isinstance(ended.error, AuthFailed)
    assert "0123456789" not in str(ended.error)


async def test_whisper_gets_its_fields() -> None:
    async with OpenAISimulator(transcripts=["hello", "hello"]) as vendor:
        old = OpenAISTT(api_key="k", base_url=vendor.url, model="whisper", language="en", keyterms=["Trunkline", "b"])
        new = OpenAISTT(api_key="k", base_url=vendor.url, language="en", keyterms=["Trunkline"], prompt="A call.")
        for stt in (old, new):
            said = await stt.transcribe(b"\x20" * 1600, TWILIO)
            assert said.text == "hello"
            await stt.aclose()
    assert vendor.received == [
        {"model": "whisper-1", "response_format": "json", "language": "en", "prompt": "Trunkline, b"},
        {
            "model": "gpt-transcribe",
            "response_format": "json",
            "languages[]": "en",
            "keywords[]": "Trunkline",
            "prompt": "A call.",
        },
    ]


async def test_an_utterance_too_short_for_the_vendor_is_not_sent() -> None:
    async with OpenAISimulator() as vendor:
        stt = OpenAISTT(api_key="k", base_url=vendor.url)
        assert (await stt.transcribe(b"\x20" * 400, TWILIO)).text == ""
        assert vendor.requests == []


async def test_a_vendor_that_is_down_for_a_moment_is_asked_again() -> None:
    async with OpenAISimulator(transcripts=["hello"]) as vendor:
        vendor.script([RefuseUpgrade(status=503), RefuseUpgrade(status=503)])
        stt = OpenAISTT(api_key="k", base_url=vendor.url)
        async with stt.connect(TWILIO) as session:
            await say(session)
            final = (await until(session, Transcript))[-1]
        await stt.aclose()
    assert isinstance(final, Transcript)
    assert final.text == "hello"
    assert len(vendor.requests) == 3


async def test_what_will_be_refused_again_is_not_asked_again() -> None:
    async with OpenAISimulator() as vendor:
        vendor.script([RefuseUpgrade(status=400, message="no"), RefuseUpgrade(status=429, retry_after=60)])
        stt = OpenAISTT(api_key="k", base_url=vendor.url)
        for kind in (RequestRejected, Exception):
            with pytest.raises(kind):
                await stt.transcribe(b"\x20" * 1600, TWILIO)
        await stt.aclose()
    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("streams", {"model": "gpt-live-transcribe", "streams": False}),
        ("turn_detection", {"model": "gpt-live-transcribe", "turn_detection": {"type": "server_vad"}}),
        ("turn_detection", {"turn_detection": {"type": "server_vad"}}),
        ("prompt", {"model": "gpt-realtime-whisper", "prompt": "x"}),
    ],
)
def test_what_openai_would_refuse_is_refused_here(field: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=field):
        OpenAISTT(api_key="k", **options)  # type: ignore[arg-type]


async def test_nobody_there_is_a_failed_connection() -> None:
    stt = DeepgramSTT(api_key="k", base_url="http://127.0.0.1:9", proxy=None)
    with pytest.raises(Exception, match="cannot be reached") as caught:
        async with stt.connect(TWILIO):
            pass
    assert not isinstance(caught.value, ProviderUnavailable | BaseExceptionGroup)
