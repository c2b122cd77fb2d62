"""How the engines use their vendors: contexts and fences, warm connections, requests ahead of their turn, streams that end."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import registry
from trunkline.audio import TWILIO, AudioFormat
from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import ConnectionFailed, InvalidConfig
from trunkline.testing.deepgram import DeepgramSimulator
from trunkline.testing.elevenlabs import ElevenLabsSimulator
from trunkline.testing.invented_speech import Voice
from trunkline.testing.openai_http import OpenAISimulator
from trunkline.testing.suites.tts import FIRST, SECOND, THIRD, audio_of, spoken
from trunkline.tts import DeepgramTTS, ElevenLabsTTS, LocalTTS, OpenAITTS, SpeechSession
from trunkline.tts.pieces import PieceQueue
from trunkline.tts.text import bounded
from trunkline.tts.words import WordTimes
from trunkline.wire.tts import deepgram as deepgram_wire
from trunkline.wire.tts import elevenlabs as elevenlabs_wire

pytestmark = pytest.mark.anyio


async def give_up(session: SpeechSession, *sentences: str) -> None:
    async with session.utterance() as utterance:
        for sentence in sentences:
            await utterance.send(sentence)
        await anext(aiter(utterance))


# ── ElevenLabs ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_answer_has_a_context_that_is_begun_flushed_and_closed() -> None:
    async with ElevenLabsSimulator() as vendor:
        tts = ElevenLabsTTS(api_key="any", base_url=vendor.url, voice_settings={"stability": 0.4}, proxy=None)
        async with tts.open(TWILIO) as session:
            await spoken(session, FIRST, SECOND)
            await spoken(session, THIRD)
        request = vendor.requests[0]
        assert request.path == "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input"
        assert (
            request.query == "model_id=eleven_flash_v2_5&output_format=ulaw_8000&auto_mode=true&inactivity_timeout=180"
        )
        assert len(vendor.requests) == 1, "the connection was not kept"
        assert vendor.received == [
            {"text": " ", "context_id": "utterance-1", "voice_settings": {"stability": 0.4}},
            {"text": f"{FIRST} ", "context_id": "utterance-1"},
            {"text": f"{SECOND} ", "context_id": "utterance-1"},
            {"context_id": "utterance-1", "flush": True},
            {"context_id": "utterance-1", "close_context": True},
            {"text": " ", "context_id": "utterance-2", "voice_settings": {"stability": 0.4}},
            {"text": f"{THIRD} ", "context_id": "utterance-2"},
            {"context_id": "utterance-2", "flush": True},
            {"context_id": "utterance-2", "close_context": True},
            {"close_socket": True},
        ]


async def test_contexts_that_do_not_end_are_never_more_than_the_vendor_allows() -> None:
    clock = ScaledClock(20)
    async with ElevenLabsSimulator(voice=Voice(speed=1.0), clock=clock) as vendor:
        tts = ElevenLabsTTS(api_key="any", base_url=vendor.url, proxy=None, clock=clock)
        async with tts.open(TWILIO) as session:
            for _ in range(7):
                await give_up(session, FIRST, SECOND)
            assert audio_of(await spoken(session, "Yes."))
        assert not [event for event in vendor.sent if "error" in event], "the vendor complained"
        assert len(vendor.requests) == 2


async def test_words_are_missing_where_the_vendor_tells_none_and_the_audio_is_whole() -> None:
    async with ElevenLabsSimulator(voice=Voice(alignments=False)) as vendor:
        tts = ElevenLabsTTS(api_key="any", base_url=vendor.url, proxy=None)
        async with tts.open(TWILIO) as session:
            pieces = await spoken(session, FIRST)
        assert not any(piece.words for piece in pieces)
        assert audio_of(pieces)


async def test_end_that_is_not_told_is_a_timeout_after_all_audio() -> None:
    clock = ScaledClock(20)
    async with ElevenLabsSimulator(voice=Voice(finals=False), clock=clock) as vendor:
        tts = ElevenLabsTTS(api_key="any", base_url=vendor.url, proxy=None, clock=clock)
        async with tts.open(TWILIO) as session, session.utterance() as utterance:
            await utterance.send(SECOND)
            await utterance.finish()
            pieces = []
            failure: ConnectionFailed | None = None
            try:
                async for piece in utterance:
                    pieces.append(piece)  # noqa: PERF401 - what comes before the failure counts
            except ConnectionFailed as error:
                failure = error
        assert failure is not None
        assert failure.code == "timeout"
        assert len(audio_of(pieces)) >= len(SECOND) * 60 * 8


# ── Deepgram ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_clear_goes_before_the_next_text_and_its_strays_are_dropped() -> None:
    async with DeepgramSimulator() as vendor:
        tts = DeepgramTTS(api_key="any", base_url=vendor.url, proxy=None)
        async with tts.open(TWILIO) as session:
            await give_up(session, FIRST, SECOND)
            assert len(audio_of(await spoken(session, THIRD))) == len(THIRD) * 60 * 8
        assert vendor.requests[0].query == "model=aura-asteria-en&encoding=mulaw&sample_rate=8000"
        assert [event["type"] for event in vendor.received] == ["Speak", "Speak", "Clear", "Speak", "Flush", "Close"]


async def test_connection_that_does_not_confirm_a_clear_is_replaced() -> None:
    clock = ScaledClock(20)
    async with DeepgramSimulator(voice=Voice(clears=False), clock=clock) as vendor:
        tts = DeepgramTTS(api_key="any", base_url=vendor.url, proxy=None, clock=clock)
        async with tts.open(TWILIO) as session:
            await give_up(session, FIRST, SECOND)
            assert len(audio_of(await spoken(session, THIRD))) == len(THIRD) * 60 * 8
        assert len(vendor.requests) == 2


async def test_flushes_are_never_more_than_the_vendor_takes() -> None:
    async with DeepgramSimulator() as vendor:
        tts = DeepgramTTS(api_key="any", base_url=vendor.url, proxy=None)
        async with tts.open(TWILIO) as session:
            for _ in range(25):
                assert audio_of(await spoken(session, "Yes."))
        assert not [event for event in vendor.sent if event["type"] == "Warning"]
        assert len(vendor.requests) == 2


async def test_long_text_is_cut_to_what_the_vendor_takes() -> None:
    text = "word " * 900
    async with DeepgramSimulator() as vendor:
        for transport in ("websocket", "http"):
            tts = DeepgramTTS(api_key="any", base_url=vendor.url, transport=transport, proxy=None)
            async with tts.open(TWILIO) as session:
                assert audio_of(await spoken(session, text))
            await tts.aclose()
        assert " ".join(vendor.voice.spoken).split() == text.split() * 2


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_next_sentence_is_asked_for_while_the_last_is_spoken() -> None:
    clock = ManualClock()
    async with OpenAISimulator(voice=Voice(speed=1.0), clock=clock) as vendor:
        tts = OpenAITTS(api_key="any", base_url=vendor.url, proxy=None)
        async with tts.open() as session, session.utterance() as utterance:
            for sentence in (FIRST, SECOND, THIRD):
                await utterance.send(sentence)
            await anext(aiter(utterance))
            with anyio.fail_after(5):
                while len(vendor.voice.spoken) < 2:  # noqa: ASYNC110 - the vendor sets no event
                    await anyio.sleep(0.002)
            assert sorted(vendor.voice.spoken) == sorted([FIRST, SECOND]), "the third must wait for its turn"
        await tts.aclose()


async def test_leaving_ends_the_requests() -> None:
    clock = ManualClock()
    async with OpenAISimulator(voice=Voice(speed=1.0), clock=clock) as vendor:
        tts = OpenAITTS(api_key="any", base_url=vendor.url, proxy=None)
        async with tts.open() as session:
            with anyio.fail_after(5):
                await give_up(session, FIRST, SECOND)  # the vendor's clock stands still: both would last for ever
                while vendor._server.connections:  # noqa: ASYNC110 - the vendor sets no event
                    await anyio.sleep(0.002)
        await tts.aclose()


async def test_requests_share_a_connection() -> None:
    async with OpenAISimulator() as vendor:
        tts = OpenAITTS(api_key="any", base_url=vendor.url, proxy=None)
        async with tts.open() as session:
            for _ in range(3):
                await spoken(session, FIRST)
            assert vendor._server.connections == 1
        await tts.aclose()
        assert {request.client for request in vendor.requests} == {vendor.requests[0].client}


# ── what is refused before anything is sent ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ElevenLabsTTS(api_key="any", model="eleven_v3"), "model"),
        (lambda: ElevenLabsTTS(api_key="any", voice_settings={"speed": 2.0}), "voice_settings.speed"),
        (lambda: ElevenLabsTTS(api_key="any", voice_settings={"pitch": 2.0}), "voice_settings.pitch"),
        (lambda: ElevenLabsTTS(api_key="any", base_url="http://example.com"), "base_url"),
        (lambda: ElevenLabsTTS(api_key="with space"), "api_key"),
        (lambda: OpenAITTS(api_key="any", model="tts-1", instructions="Calm."), "instructions"),
        (lambda: OpenAITTS(api_key="any", speed=5), "speed"),
        (lambda: DeepgramTTS(api_key="any", speed=2), "speed"),
        (lambda: DeepgramTTS(api_key="any", voice_id="aura-asteria-en", model="aura-luna-en"), "voice_id"),
        (lambda: DeepgramTTS(api_key="any", transport="pigeon"), "transport"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused(make: type, field: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("engine", "variable"),
    [(ElevenLabsTTS, "ELEVENLABS_API_KEY"), (OpenAITTS, "OPENAI_API_KEY"), (DeepgramTTS, "DEEPGRAM_API_KEY")],
)
def test_key_comes_from_the_environment(engine: type, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidConfig, match=variable):
        engine()
    monkeypatch.setenv(variable, "a-key-of-somebody")
    assert "a-key-of-somebody" not in repr(engine())


def test_engines_are_found_by_name() -> None:
    found = {name: registry.get("tts", name) for name in ("elevenlabs", "openai", "deepgram", "local")}
    assert found == {"elevenlabs": ElevenLabsTTS, "openai": OpenAITTS, "deepgram": DeepgramTTS, "local": LocalTTS}


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.binary(max_size=9)))
def test_pieces_are_whole_samples_and_nothing_is_lost(chunks: Sequence[bytes]) -> None:
    queue = PieceQueue(AudioFormat("linear16", 24_000), vendor="any", patience=1.0, clock=ManualClock())
    for chunk in chunks:
        queue.put(chunk)
    pieces = [piece.audio for piece in queue._pieces]
    whole = b"".join(chunks)
    assert b"".join(pieces) == whole[: len(whole) // 2 * 2]
    assert all(len(piece) % 2 == 0 for piece in pieces)


@given(st.text(alphabet="ab ", max_size=60), st.integers(1, 12))
def test_bounded_parts_hold_all_words(text: str, most: int) -> None:
    parts = bounded(text, most)
    assert all(0 < len(part) <= most for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_words_are_joined_over_messages() -> None:
    times = WordTimes()
    assert times.add("Hel", (0, 10, 20), (10, 10, 10), offset_ms=0) == ()
    (hello,) = times.add("lo y", (0, 10, 20, 30), (10, 10, 10, 10), offset_ms=30)
    (you,) = times.add("ou", (0, 10), (10, 10), offset_ms=70) + times.end()
    assert (hello.text, hello.start_ms, hello.end_ms) == ("Hello", 0, 60)
    assert (you.text, you.start_ms, you.end_ms) == ("you", 60, 90)
    assert times.end() == ()


@pytest.mark.parametrize(
    "message",
    [
        '{"audio":"AAAA","contextId":"a","isFinal":null,"alignment":{"chars":["x"],"charStartTimesMs":[0],"charDurationsMs":[9]}}',
        '{"audio":"AAAA","context_id":"a","alignment":{"chars":["x"],"charStartTimesMs":[0],"charsDurationsMs":[9]}}',
        '{"audio":"AAAA","context_id":"a","alignment":{"chars":["x"],"char_start_times_ms":[0],"char_durations_ms":[9]}}',
    ],
)
def test_elevenlabs_spellings_mean_the_same(message: str) -> None:
    characters = elevenlabs_wire.Characters(("x",), (0,), (9,))
    assert elevenlabs_wire.parse(message) == [elevenlabs_wire.ContextAudio("a", b"\0\0\0", characters)]


@pytest.mark.parametrize(
    "message", ['{"isFinal":true,"contextId":"a","audio":null}', '{"is_final":true,"context_id":"a"}']
)
def test_elevenlabs_finals_are_read_in_both_spellings(message: str) -> None:
    assert elevenlabs_wire.parse(message) == [elevenlabs_wire.ContextFinished("a")]


def test_odd_alignment_never_costs_the_audio() -> None:
    for alignment in ("null", '{"chars":["x","y"],"charStartTimesMs":[0],"charDurationsMs":[9]}', '{"chars":7}', "[]"):
        message = f'{{"audio":"AAAA","contextId":"a","alignment":{alignment}}}'
        assert elevenlabs_wire.parse(message) == [elevenlabs_wire.ContextAudio("a", b"\0\0\0", None)]


def test_deepgram_warnings_are_read_in_both_spellings() -> None:
    newer = deepgram_wire.parse('{"type":"Warning","code":"A","description":"b"}')
    assert newer == deepgram_wire.parse('{"type":"Warning","warn_code":"A","warn_msg":"b"}')
    assert newer == deepgram_wire.Warned("A", "b")
    assert deepgram_wire.parse('{"type":"Metadata"}') is None


async def test_many_calls_speak_over_one_engine() -> None:
    async with ElevenLabsSimulator() as vendor, AsyncExitStack() as calls:
        tts = ElevenLabsTTS(api_key="any", base_url=vendor.url, proxy=None)
        sessions = [await calls.enter_async_context(tts.open(TWILIO)) for _ in range(8)]
        lengths = {len(audio_of(await spoken(session, FIRST))) for session in sessions}
        assert len(lengths) == 1
        assert vendor.open_sessions == 8
