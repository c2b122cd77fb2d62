"""ElevenLabs' official SDK, unchanged: its client in a thread of its own, the simulator on either backend."""

import base64
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from elevenlabs import AsyncElevenLabs, AudioFormat, CommitStrategy, ElevenLabs, RealtimeEvents

from trunkline.audio import TWILIO, wav
from trunkline.testing import ElevenLabsSimulator
from trunkline.testing.suites.stt_stage import said

pytestmark = pytest.mark.anyio


def realtime(url: str) -> list[Any]:
    return anyio.run(_realtime, url)  # on asyncio, which it needs


async def _realtime(url: str) -> list[Any]:
    received: list[Any] = []
    done = anyio.Event()
    http = httpx.AsyncClient()
    client = AsyncElevenLabs(api_key="test", base_url=url, httpx_client=http)
    connection = await client.speech_to_text.realtime.connect(
        {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.ULAW_8000,
            "sample_rate": 8000,
            "commit_strategy": CommitStrategy.MANUAL,
            "language_code": "en",
            "keyterms": ["a", "b"],
        }
    )

    def finished(message: Any) -> None:
        received.append(message)
        done.set()

    connection.on(RealtimeEvents.PARTIAL_TRANSCRIPT, received.append)
    connection.on(RealtimeEvents.COMMITTED_TRANSCRIPT, finished)
    connection.on(RealtimeEvents.ERROR, finished)
    audio = b"".join(said(TWILIO))
    for start in range(0, len(audio), 800):
        await connection.send({"audio_base_64": base64.b64encode(audio[start : start + 800]).decode()})
    await connection.commit()
    with anyio.fail_after(10):
        await done.wait()
    await connection.close()
    await http.aclose()
    return received


def batch(url: str) -> Any:
    file = wav.encode(TWILIO, b"".join(said(TWILIO)))
    with httpx.Client() as http:
        client = ElevenLabs(api_key="test", base_url=url, httpx_client=http)
        return client.speech_to_text.convert(
            model_id="scribe_v2", file=("a.wav", file, "audio/wav"), language_code="en"
        )


async def test_realtime_session() -> None:
    async with ElevenLabsSimulator(transcripts=["hello there caller"]) as vendor:
        received = await anyio.to_thread.run_sync(realtime, vendor.url)
    assert received[-1]["message_type"] == "committed_transcript"
    assert received[-1]["text"] == "hello there caller"
    assert len(received) > 1
    assert all("hello there caller".startswith(message["text"]) for message in received)


async def test_a_whole_utterance() -> None:
    async with ElevenLabsSimulator(transcripts=["hello there"]) as vendor:
        answer = await anyio.to_thread.run_sync(batch, vendor.url)
    assert answer.text == "hello there"
    assert [word.text for word in answer.words if word.type == "word"] == ["hello", "there"]


async def test_a_wrong_key_is_refused() -> None:
    async with ElevenLabsSimulator(api_key="another") as vendor:
        with pytest.raises(Exception, match="invalid_api_key"):
            await anyio.to_thread.run_sync(batch, vendor.url)
