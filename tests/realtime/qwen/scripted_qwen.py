"""A server of Qwen's dialect on loopback that follows a script: each test writes down what is sent and what is expected, in order."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from trunkline.realtime.qwen import QwenRealtimeProvider
from trunkline.transport import Request, Route, Server, Upgrade, WebSocketConnection

KEY = "of-no-known-shape-0123456789abcdef"
CREATED: dict[str, Any] = {
    "object": "realtime.session",
    "model": "qwen3.5-omni-flash-realtime",
    "modalities": ["text", "audio"],
    "input_audio_format": "pcm",
    "output_audio_format": "pcm",
    "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
    "id": "sess_1",
}
TENTH = b64encode(bytes(4800)).decode()
ANSWER = {"response_id": "resp_1", "item_id": "item_A", "output_index": 0, "content_index": 0}


class Vendor:
    """One connection, seen from the vendor's side."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection

    async def send(self, kind: str, **body: Any) -> None:
        await self.connection.send(json.dumps({"event_id": "event_1", "type": kind, **body}))

    async def expect(self, kind: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.connection.receive())
        assert event["type"] == kind, f"expected {kind}, got {event}"
        return event

    async def open_session(self, **more: Any) -> dict[str, Any]:
        await self.send("session.created", session=CREATED)
        wanted: dict[str, Any] = (await self.expect("session.update"))["session"]
        await self.send("session.updated", session={**CREATED, **more})
        return wanted

    async def begin_answer(self) -> None:
        await self.send("response.created", response={"id": "resp_1", "status": "in_progress"})
        await self.send("response.audio.delta", **ANSWER, delta=TENTH)


@asynccontextmanager
async def scripted(script: Callable[[Vendor], Awaitable[None]], **options: Any) -> AsyncIterator[QwenRealtimeProvider]:
    failures: list[BaseException] = []
    finished = anyio.Event()

    async def answer(_: Request) -> Upgrade:
        async def follow(connection: WebSocketConnection) -> None:
            try:
                await script(Vendor(connection))
            except Exception as error:  # noqa: BLE001 - raised where the test sees it
                failures.append(error)
            finally:
                finished.set()

        return Upgrade(follow)

    async with Server([Route("GET", "/api-ws/v1/realtime", answer)]) as server:
        with anyio.fail_after(10):
            yield QwenRealtimeProvider(**{"api_key": KEY, "base_url": f"{server.url}/api-ws/v1/realtime", **options})
            await finished.wait()
    if failures:
        raise failures[0]


async def rest(session: Any) -> list[Any]:
    return [event async for event in session]
