"""A server that plays the other side of a recording: what was received then is sent again, in its order."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import anyio.lowlevel

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig, TransportError
from trunkline.transport.http.routing import Request, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.record import Ended, Entry, Message, Scrubber, read_recording
from trunkline.transport.websocket.connection import WebSocketConnection

_DEEPEST_PATH = 8
_LARGEST_MESSAGE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Difference:
    """A message of the client's that is not the recorded one."""

    recorded: str | bytes
    got: str | bytes


class ReplayServer:
    """Plays the recorded server to every client that connects, whatever path it asks for, each from the beginning.

        async with ReplayServer("call.jsonl") as vendor:
            provider = OpenAIRealtimeProvider(api_key="any", base_url=vendor.url)

    Args:
        recording: The recording, by its path or as `read_recording` gives it.
        client: What the client's messages mean. "awaited": each recorded message of the client's is waited for before the replay goes on,
            whatever it says. "checked": it also has to say what was recorded (the keys of JSON may come in any order); the first that does
            not is put into `differences` and closes the connection with 1008. "ignored": the replay goes by the recorded times alone.
        speed: How many times faster than recorded; None for as fast as the client allows, which for an ignored client is at once.
        ignore: Keys of JSON objects that are not compared, such as ids that the client makes up.
        secrets: What was hidden from the recording, hidden from the comparison likewise.
        clock: Where time comes from.
        port: 0 for any free one.

    Raises:
        InvalidConfig: It is no recording, or a number that makes no sense.
    """

    def __init__(
        self,
        recording: str | Path | Iterable[Entry],
        *,
        client: Literal["awaited", "checked", "ignored"] = "awaited",
        speed: float | None = None,
        ignore: Iterable[str] = ("event_id",),
        secrets: Iterable[str] = (),
        clock: Clock = SYSTEM_CLOCK,
        port: int = 0,
    ) -> None:
        if speed is not None and speed <= 0:
            raise InvalidConfig("speed", "must be above 0, or None")
        self.differences: list[Difference] = []
        self._entries = read_recording(recording) if isinstance(recording, str | Path) else list(recording)
        self._client = client
        self._speed = speed
        self._ignore = frozenset(ignore)
        self._scrubber = Scrubber(secrets)
        self._clock = clock
        paths = ["/", *("/" + "/".join(f"{{step{n}}}" for n in range(depth)) for depth in range(1, _DEEPEST_PATH + 1))]
        self._server = Server([Route("GET", path, self._open) for path in paths], port=port, grace=0.0)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The `http` address of the server; any path may follow."""
        return self._server.url

    async def _open(self, request: Request) -> Upgrade:  # noqa: ARG002 - every request gets the same
        return Upgrade(self._play, max_size=_LARGEST_MESSAGE, ping_interval=None)

    async def _play(self, socket: WebSocketConnection) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                if self._client == "ignored":
                    tasks.start_soon(_drop_everything, socket)
                await self._follow(socket)
                tasks.cancel_scope.cancel()
        except* TransportError:
            pass  # the client has left, which is its right

    async def _follow(self, socket: WebSocketConnection) -> None:
        began = self._clock.now()
        for entry in self._entries:
            if self._speed is not None:
                await self._clock.sleep_until(began + entry.time / self._speed)
            match entry:
                case Message(direction="received", content=content):
                    await socket.send(content)
                case Message(content=content) if self._client != "ignored":
                    if not self._agrees(content, await socket.receive()):
                        await socket.aclose(1008, "not the recorded message")
                        return
                case Ended(by="them", code=code, reason=reason):
                    await _end(socket, code, reason)
                    return
                case _:
                    await anyio.lowlevel.checkpoint()
        await _drop_everything(socket)

    def _agrees(self, recorded: str | bytes, got: str | bytes) -> bool:
        if self._client == "awaited":
            return True
        told = self._scrubber.message(got)
        if self._comparable(recorded) == self._comparable(told):
            return True
        self.differences.append(Difference(recorded, told))
        return False

    def _comparable(self, message: str | bytes) -> Any:
        if isinstance(message, bytes):
            return message
        try:
            return self._without_ignored(json.loads(message))
        except ValueError:
            return message

    def _without_ignored(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._without_ignored(part) for name, part in value.items() if name not in self._ignore}
        return [self._without_ignored(part) for part in value] if isinstance(value, list) else value


async def _end(socket: WebSocketConnection, code: int, reason: str) -> None:
    """End as it was recorded: a code that no close frame may carry stands for a connection that broke."""
    if code in {1005, 1006, 1015}:
        await socket.abort("as recorded")
    else:
        await socket.aclose(code, reason)


async def _drop_everything(socket: WebSocketConnection) -> None:
    while True:
        await socket.receive()
