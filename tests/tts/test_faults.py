"""What goes wrong at a vendor ends in an error of its class, after what came before it, and the session speaks on."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from trunkline.audio import TWILIO
from trunkline.clock import ScaledClock
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
)
from trunkline.testing.deepgram import DeepgramSimulator
from trunkline.testing.elevenlabs import ElevenLabsSimulator
from trunkline.testing.faults import Close, Drop, Fault, HalfOpen, HangInHandshake, MalformedJson, RefuseUpgrade, Stall
from trunkline.testing.invented_speech import Voice
from trunkline.testing.openai_http import OpenAISimulator
from trunkline.testing.suites.tts import FIRST, SECOND, audio_of, spoken
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.tts import DeepgramTTS, ElevenLabsTTS, OpenAITTS, SpeechPiece, SpeechSession, TextToSpeech

pytestmark = pytest.mark.anyio

KEY = "a-secret-key-of-somebody"
CLOCK = ScaledClock(20)

ENGINES: dict[str, Callable[..., tuple[VendorSimulator, Callable[[str], TextToSpeech]]]] = {
    "elevenlabs": lambda voice: (
        ElevenLabsSimulator(voice=voice, clock=CLOCK),
        lambda url: ElevenLabsTTS(api_key=KEY, base_url=url, proxy=None, clock=CLOCK),
    ),
    "elevenlabs-http": lambda voice: (
        ElevenLabsSimulator(voice=voice, clock=CLOCK),
        lambda url: ElevenLabsTTS(api_key=KEY, base_url=url, transport="http", proxy=None, clock=CLOCK),
    ),
    "deepgram": lambda voice: (
        DeepgramSimulator(voice=voice, clock=CLOCK),
        lambda url: DeepgramTTS(api_key=KEY, base_url=url, proxy=None, clock=CLOCK),
    ),
    "deepgram-http": lambda voice: (
        DeepgramSimulator(voice=voice, clock=CLOCK),
        lambda url: DeepgramTTS(api_key=KEY, base_url=url, transport="http", proxy=None, clock=CLOCK),
    ),
    "openai": lambda voice: (
        OpenAISimulator(voice=voice, clock=CLOCK),
        lambda url: OpenAITTS(api_key=KEY, base_url=url, proxy=None, clock=CLOCK),
    ),
}
SOCKETS = ["elevenlabs", "deepgram"]


@asynccontextmanager
async def stage(engine: str, voice: Voice | None = None) -> AsyncIterator[tuple[VendorSimulator, TextToSpeech]]:
    simulator, make = ENGINES[engine](voice)
    async with simulator as vendor:
        tts = make(vendor.url)
        try:
            yield vendor, tts
        finally:
            await tts.aclose()


async def failing(session: SpeechSession, pieces: list[SpeechPiece], *sentences: str) -> ProviderError | None:
    """Why an utterance failed, after these pieces."""
    try:
        async with session.utterance() as utterance:
            for sentence in sentences:
                await utterance.send(sentence)
            await utterance.finish()
            async for piece in utterance:
                pieces.append(piece)  # noqa: PERF401 - what comes before the failure counts
    except ProviderError as error:
        return error
    return None


REFUSALS = [
    (RefuseUpgrade(status=401, code="invalid_api_key", message="no"), AuthFailed),
    (RefuseUpgrade(status=402, message="pay"), QuotaExceeded),
    (RefuseUpgrade(status=404, message="gone"), ModelUnavailable),
    (RefuseUpgrade(status=422, message="what?"), RequestRejected),
    (RefuseUpgrade(status=429, message="slow", retry_after=7), RateLimited),
    (RefuseUpgrade(status=503, message="down"), ProviderUnavailable),
]


@pytest.mark.parametrize(("fault", "kind"), REFUSALS)
@pytest.mark.parametrize("engine", ENGINES)
async def test_refusal_is_told_by_class(engine: str, fault: Fault, kind: type[ProviderError]) -> None:
    async with stage(engine) as (vendor, tts):
        vendor.script([fault])
        with pytest.raises(kind) as caught:
            async with tts.open(TWILIO) as session:
                await spoken(session, FIRST)
        assert caught.type is kind
        assert caught.value.vendor == tts.name
        if kind is RateLimited:
            assert caught.value.retry_after == 7
        async with tts.open(TWILIO) as session:
            assert audio_of(await spoken(session, FIRST))


async def test_used_up_quota_is_not_a_bad_key() -> None:
    async with stage("elevenlabs") as (vendor, tts):
        vendor.script([RefuseUpgrade(status=401, code="quota_exceeded", message="You have 3 credits left.")])
        with pytest.raises(QuotaExceeded, match="3 credits"):
            async with tts.open(TWILIO):
                pass


@pytest.mark.parametrize("engine", ENGINES)
async def test_key_is_never_shown(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(engine) as (vendor, tts):
        vendor.script([RefuseUpgrade(status=400, code="odd", message=f"the key {KEY} is odd")])
        with pytest.raises(ProviderError) as caught:
            async with tts.open(TWILIO) as session:
                await spoken(session, FIRST)
        logged = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("trunkline"))
        shown = f"{caught.value!s} {caught.value!r} {caught.value.__cause__!r} {tts!r} {logged}"
        assert KEY not in shown
        assert "is odd" in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
async def test_break_in_mid_utterance_is_told_after_what_came(engine: str) -> None:
    async with stage(engine) as (vendor, tts), tts.open(TWILIO) as session:
        vendor.script([Drop(on="audio", nth=2)])
        pieces: list[SpeechPiece] = []
        assert isinstance(await failing(session, pieces, FIRST), ConnectionFailed)
        assert audio_of(pieces)
        assert audio_of(await spoken(session, SECOND)), "the session did not speak on"


@pytest.mark.parametrize("engine", ENGINES)
async def test_silence_of_the_vendor_ends_after_its_patience(engine: str) -> None:
    async with stage(engine) as (vendor, tts), tts.open(TWILIO) as session:
        vendor.script([HalfOpen(on="audio", nth=2)])
        pieces: list[SpeechPiece] = []
        began = CLOCK.now()
        failure = await failing(session, pieces, FIRST)
        assert audio_of(pieces)
        assert isinstance(failure, ConnectionFailed)
        assert failure.code == "timeout"
        assert CLOCK.now() - began >= 5


@pytest.mark.parametrize("engine", ENGINES)
async def test_short_stall_is_waited_for(engine: str) -> None:
    async with stage(engine) as (vendor, tts), tts.open(TWILIO) as session:
        whole = len(audio_of(await spoken(session, FIRST)))
        vendor.script([Stall(on="audio", seconds=2.0)])
        assert len(audio_of(await spoken(session, FIRST))) == whole


@pytest.mark.parametrize("engine", SOCKETS)
async def test_close_with_a_code_is_told_by_class(engine: str) -> None:
    async with stage(engine) as (vendor, tts), tts.open(TWILIO) as session:
        vendor.script([Close(on="audio", code=1011, reason="NET-0001: the server failed")])
        failure = await failing(session, [], FIRST)
        assert isinstance(failure, ProviderUnavailable)
        assert "NET-0001" in str(failure)
        assert audio_of(await spoken(session, SECOND))


@pytest.mark.parametrize("engine", SOCKETS)
async def test_connection_lost_before_anything_was_heard_is_replaced_unnoticed(engine: str) -> None:
    async with stage(engine) as (vendor, tts), tts.open(TWILIO) as session:
        whole = audio_of(await spoken(session, FIRST, SECOND))
        vendor.script([Drop(on="text" if engine == "elevenlabs" else "Speak")])
        assert audio_of(await spoken(session, FIRST, SECOND)) == whole


@pytest.mark.parametrize("engine", SOCKETS)
async def test_message_that_cannot_be_read_costs_nothing_else(engine: str) -> None:
    async with stage(engine) as (vendor, tts), tts.open(TWILIO) as session:
        whole = audio_of(await spoken(session, FIRST))
        vendor.script([MalformedJson(on="audio")])
        assert audio_of(await spoken(session, FIRST)) == whole


@pytest.mark.parametrize("engine", SOCKETS)
async def test_connection_lost_between_two_utterances_is_opened_anew(engine: str) -> None:
    async with stage(engine) as (vendor, tts):
        end = "final" if engine == "elevenlabs" else "Flushed"
        async with tts.open(TWILIO) as session:
            vendor.script([Drop(on=end)])
            first = audio_of(await spoken(session, FIRST))
            assert audio_of(await spoken(session, FIRST)) == first
        assert len(vendor.requests) == 2


@pytest.mark.parametrize("engine", ENGINES)
async def test_handshake_that_is_never_answered_ends(engine: str) -> None:
    async with stage(engine) as (vendor, tts):
        vendor.script([HangInHandshake()])
        with pytest.raises(ConnectionFailed) as caught:
            async with tts.open(TWILIO) as session:
                await spoken(session, FIRST)
        assert caught.value.code == "timeout"


@pytest.mark.parametrize("engine", ENGINES)
async def test_nobody_listens_is_connection_failed(engine: str) -> None:
    async with stage(engine) as (_, tts):
        pass
    with pytest.raises(ConnectionFailed):
        async with tts.open(TWILIO) as session:
            await spoken(session, FIRST)
    await tts.aclose()


async def test_second_sentence_refused_is_told_after_the_first() -> None:
    async with stage("openai") as (vendor, tts), tts.open(TWILIO) as session:
        whole = audio_of(await spoken(session, FIRST))
        pieces: list[SpeechPiece] = []
        async with session.utterance() as utterance:
            await utterance.send(FIRST)
            pieces.append(await anext(aiter(utterance)))
            vendor.script([RefuseUpgrade(status=500)])
            await utterance.send(SECOND)
            await utterance.finish()
            failure: ProviderError | None = None
            try:
                async for piece in utterance:
                    pieces.append(piece)  # noqa: PERF401 - what comes before the failure counts
            except ProviderError as error:
                failure = error
        assert isinstance(failure, ProviderUnavailable)
        assert {piece.sentence for piece in pieces} == {0}
        assert audio_of(pieces) == whole
