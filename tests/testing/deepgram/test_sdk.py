"""Deepgram's official SDK, unchanged: its client in a thread of its own, the simulator on either backend."""

import threading
from typing import Any

import anyio.to_thread
import pytest
from deepgram import DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment

from trunkline.audio import TWILIO
from trunkline.testing import DeepgramSimulator
from trunkline.testing.suites.stt_stage import said

# The SDK speaks through an older part of its WebSocket library.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")]


def client(url: str) -> DeepgramClient:
    sockets = url.replace("http", "ws", 1)
    there = DeepgramClientEnvironment(base=url, production=sockets, agent=sockets, agent_rest=url)
    return DeepgramClient(api_key="test", environment=there)


def nova(url: str) -> list[Any]:
    received: list[Any] = []
    with client(url).listen.v1.connect(
        model="nova-3",
        encoding="mulaw",
        sample_rate=8000,
        interim_results=True,
        endpointing=300,
        utterance_end_ms=1000,
        vad_events=True,
        smart_format=True,
        keyterm=["a b", "c"],
    ) as socket:
        socket.on(EventType.MESSAGE, received.append)
        listening = threading.Thread(target=socket.start_listening)
        listening.start()
        for frame in said(TWILIO):
            socket.send_media(frame)
        socket.send_keep_alive()
        socket.send_finalize()
        socket.send_close_stream()
        listening.join(10)
    return received


def flux(url: str) -> list[Any]:
    received: list[Any] = []
    with client(url).listen.v2.connect(
        model="flux-general-en", encoding="mulaw", sample_rate=8000, eager_eot_threshold=0.4, eot_threshold=0.8
    ) as socket:
        socket.on(EventType.MESSAGE, received.append)
        listening = threading.Thread(target=socket.start_listening)
        listening.start()
        for frame in said(TWILIO):
            socket.send_media(frame)
        socket.send_close_stream()
        listening.join(10)
    return received


async def test_nova_session() -> None:
    async with DeepgramSimulator(transcripts=["i need a refund"]) as vendor:
        received = await anyio.to_thread.run_sync(nova, vendor.url)
    kinds = [message.type for message in received]
    assert kinds[0] == "SpeechStarted"
    assert {"Results", "UtteranceEnd", "Metadata"} <= set(kinds)
    results = [message for message in received if message.type == "Results"]
    assert any(not result.is_final and result.channel.alternatives[0].transcript for result in results)
    final = next(result for result in results if result.speech_final)
    assert final.channel.alternatives[0].transcript == "i need a refund"
    assert any(result.from_finalize for result in results)
    assert kinds[-1] == "Metadata"


async def test_flux_session() -> None:
    async with DeepgramSimulator(transcripts=["i need a refund"]) as vendor:
        received = await anyio.to_thread.run_sync(flux, vendor.url)
    assert [message.sequence_id for message in received] == list(range(len(received)))
    assert received[0].type == "Connected"
    turns = [message for message in received if message.type == "TurnInfo"]
    assert (turns[0].event, turns[-1].event, turns[-1].transcript) == ("StartOfTurn", "EndOfTurn", "i need a refund")
    assert turns[-2].event == "EagerEndOfTurn"
    assert turns[-2].transcript == turns[-1].transcript


async def test_a_wrong_key_is_refused() -> None:
    async with DeepgramSimulator(api_key="another") as vendor:
        with pytest.raises(Exception, match="401"):
            await anyio.to_thread.run_sync(nova, vendor.url)
