"""A vendor's server on loopback that follows a script: each test writes down what is sent and what is expected, in order.

What it sends and what it gets are judged by the official SDK's types.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.oracles import (
    check_beta_server_event,
    strict_beta_client_event,
    strict_client_event,
    strict_server_event,
)
from trunkline.errors import ConnectionLost
from trunkline.realtime.events import SessionEvent
from trunkline.realtime.openai import OpenAIRealtimeProvider
from trunkline.realtime.openai.session import OpenAIRealtimeSession
from trunkline.transport import Request, Response, Route, Server, Upgrade, WebSocketConnection

CANCELLED = {"type": "cancelled", "reason": "turn_detected"}
KEY = "of-no-known-shape-0123456789abcdef"  # so that only knowing it can hide it

CREATED: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"],
    "instructions": "The vendor's own.",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 1785217650,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
    "include": None,
}


BETA_CREATED: dict[str, Any] = {
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-4o-realtime-preview-2024-12-17",
    "modalities": ["audio", "text"],
    "instructions": "The vendor's own.",
    "voice": "alloy",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": None,
    "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
    "tools": [],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "expires_at": 1756324625,
}


class Vendor:
    """One connection, seen from the vendor's side."""

    judge_sent = staticmethod(strict_server_event)
    judge_received = staticmethod(strict_client_event)

    def __init__(self, connection: WebSocketConnection, request: Request) -> None:
        self.connection = connection
        self.request = request
        self._sent = 0

    async def send(self, kind: str, **body: Any) -> None:
        self._sent += 1
        text = json.dumps({"type": kind, "event_id": f"event_{self._sent}", **body})
        self.judge_sent(text)
        await self.connection.send(text)

    async def expect(self, kind: str) -> dict[str, Any]:
        """The next message, which must be of this type."""
        text = await self.connection.receive()
        self.judge_received(text)
        event: dict[str, Any] = json.loads(text)
        assert event["type"] == kind, f"expected {kind}, got {text!r}"
        return event

    async def expect_nothing(self) -> None:
        """The client says no more before it closes."""
        try:
            text = await self.connection.receive()
        except ConnectionLost:
            return
        raise AssertionError(f"expected nothing, got {text!r}")

    async def open_session(self) -> dict[str, Any]:
        """The start of every session; gives what the client asked for."""
        await self.send("session.created", session=CREATED)
        wanted: dict[str, Any] = (await self.expect("session.update"))["session"]
        await self.send("session.updated", session=merged(CREATED, wanted))
        return wanted

    async def response_created(self, response_id: str) -> None:
        await self.send("response.created", response=response(response_id, "in_progress"))

    async def response_done(self, response_id: str, status: str = "completed", **more: Any) -> None:
        await self.send("response.done", response=response(response_id, status, **more))
        await self.send("rate_limits.updated", rate_limits=[])

    async def audio(self, response_id: str, item_id: str, audio: bytes) -> None:
        delta = b64encode(audio).decode()
        await self.send("response.output_audio.delta", **ids(response_id, item_id), delta=delta)

    async def function_call(self, response_id: str, call_id: str, name: str, arguments: str) -> dict[str, Any]:
        """All events of one call; gives its item, for `response.done`."""
        item = {
            "id": f"item_{call_id}",
            "type": "function_call",
            "name": name,
            "call_id": call_id,
            "arguments": arguments,
        }
        started = {**item, "status": "in_progress", "arguments": ""}
        where = {"response_id": response_id, "item_id": item["id"], "output_index": 0, "call_id": call_id}
        await self.send("response.output_item.added", response_id=response_id, output_index=0, item=started)
        await self.send("conversation.item.added", item=started)
        for piece in (arguments[:3], arguments[3:]):
            await self.send("response.function_call_arguments.delta", **where, delta=piece, obfuscation="xY3")
        await self.send("response.function_call_arguments.done", **where, name=name, arguments=arguments)
        item["status"] = "completed"
        await self.send("conversation.item.done", item=item)
        await self.send("response.output_item.done", response_id=response_id, output_index=0, item=item)
        return item

    async def error(self, code: str | None, message: str = "no", **more: Any) -> None:
        kind = "invalid_request_error"
        await self.send("error", error={"type": kind, "code": code, "message": message, "param": None, **more})

    async def die(self) -> None:
        """Drop the connection without a close frame."""
        await anyio.aclose_forcefully(self.connection._stream)


class BetaVendor(Vendor):
    """A server of the older dialect."""

    judge_sent = staticmethod(check_beta_server_event)
    judge_received = staticmethod(strict_beta_client_event)

    async def open_session(self) -> dict[str, Any]:
        await self.send("session.created", session=BETA_CREATED)
        wanted: dict[str, Any] = (await self.expect("session.update"))["session"]
        await self.send("session.updated", session={**BETA_CREATED, **wanted})
        return wanted


Script = Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def scripted(
    script: Script, *, kind: type[Vendor] = Vendor, **options: Any
) -> AsyncIterator[OpenAIRealtimeProvider]:
    """A provider of sessions with a vendor that follows `script`; what goes wrong there fails the test."""
    failures: list[BaseException] = []
    finished = anyio.Event()
    # The SDK's types take seconds to build, which must not count.
    kind.judge_sent('{"type": "input_audio_buffer.cleared", "event_id": "event_0"}')
    kind.judge_received('{"type": "response.create"}')

    async def answer(request: Request) -> Upgrade:
        async def follow(connection: WebSocketConnection) -> None:
            try:
                await script(kind(connection, request))
            except Exception as error:  # noqa: BLE001 - raised where the test sees it
                failures.append(error)
            finally:
                finished.set()

        return Upgrade(follow, max_size=16 * 2**20)

    routes = [Route("GET", path, answer) for path in ("/v1/realtime", "/openai/v1/realtime")]
    async with Server(routes) as server:
        try:
            with anyio.fail_after(10):
                yield OpenAIRealtimeProvider(**{"api_key": KEY, "base_url": f"{server.url}/v1", **options})
        except Exception as error:
            if failures:
                raise failures[0] from error
            raise
        with anyio.fail_after(5):
            await finished.wait()
    if failures:
        raise failures[0]


@asynccontextmanager
async def refusing(response: Response, **options: Any) -> AsyncIterator[OpenAIRealtimeProvider]:
    """A provider whose vendor answers the upgrade with an HTTP response."""

    async def refuse(request: Request) -> Response:
        return response

    async with Server([Route("GET", "/v1/realtime", refuse)]) as server:
        yield OpenAIRealtimeProvider(api_key=KEY, base_url=f"{server.url}/v1", **options)


def ids(response_id: str, item_id: str) -> dict[str, Any]:
    return {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}


def response(response_id: str, status: str, **more: Any) -> dict[str, Any]:
    usage = None if status == "in_progress" else {"total_tokens": 5, "input_tokens": 2, "output_tokens": 3}
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status,
        "status_details": None,
        "output": [],
        "conversation_id": "conv_1",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "usage": usage,
        "metadata": None,
        **more,
    }


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = {**base, **more}
    for name in base.keys() & more.keys():
        if name != "format" and isinstance(base[name], dict) and isinstance(more[name], dict):
            both[name] = merged(base[name], more[name])
    return both


async def until(session: OpenAIRealtimeSession, kind: type[Any]) -> Any:
    """Read up to the first event of a kind."""
    async for event in session:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the session ended without {kind.__name__}")


async def rest(session: OpenAIRealtimeSession) -> list[SessionEvent]:
    return [event async for event in session]
