"""OpenAI's official SDK, unchanged, against the simulated transcriptions."""

from typing import Any

import anyio.to_thread
import pytest
from openai import APIStatusError, AuthenticationError, NotFoundError, OpenAI

from trunkline.audio import TWILIO, wav
from trunkline.testing import OpenAISimulator
from trunkline.testing.faults import RefuseUpgrade
from trunkline.testing.suites.stt_stage import said

pytestmark = pytest.mark.anyio

FILE = ("a.wav", wav.encode(TWILIO, b"".join(said(TWILIO))), "audio/wav")


def transcribe(url: str, **fields: Any) -> Any:
    with OpenAI(api_key="sk-test", base_url=url, max_retries=0) as client:
        answer = client.audio.transcriptions.create(**{"file": FILE, "model": "whisper-1", **fields})
        return list(answer) if fields.get("stream") else answer


async def run(url: str, **fields: Any) -> Any:
    return await anyio.to_thread.run_sync(lambda: transcribe(url, **fields))


async def test_a_file_becomes_text() -> None:
    async with OpenAISimulator(transcripts=["hello there"] * 3) as vendor:
        assert (await run(vendor.url, language="en")).text == "hello there"
        assert (await run(vendor.url, response_format="text")).strip() == "hello there"
        events = await run(vendor.url, model="gpt-4o-transcribe", stream=True)
    assert [event.delta for event in events[:-1]] == ["hello", " there"]
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", "hello there")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"model": "gpt-9"}, 404),
        ({"file": ("a.txt", b"text", "text/plain")}, 400),
        ({"file": ("a.wav", b"not audio", "audio/wav")}, 400),
        ({"file": ("a.wav", wav.encode(TWILIO, b"\xff" * 80), "audio/wav")}, 400),
        ({"model": "gpt-4o-transcribe", "response_format": "srt"}, 400),
    ],
)
async def test_what_the_service_does_not_take(fields: dict[str, Any], status: int) -> None:
    async with OpenAISimulator() as vendor:
        with pytest.raises(APIStatusError) as refused:
            await run(vendor.url, **fields)
    assert refused.value.status_code == status
    assert isinstance(refused.value, NotFoundError) == (status == 404)


async def test_keys_and_faults() -> None:
    async with OpenAISimulator(api_key="sk-other") as vendor:
        with pytest.raises(AuthenticationError):
            await run(vendor.url)
        vendor.script([RefuseUpgrade(status=503, retry_after=2)])
        with pytest.raises(APIStatusError) as refused:
            await run(vendor.url)
    assert refused.value.response.headers["retry-after"] == "2"
