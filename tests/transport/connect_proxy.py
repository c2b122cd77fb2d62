"""A small HTTP proxy on loopback that only knows `CONNECT`, and believes that every name is this machine."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute

from tests.transport.conftest import read_head


class ConnectProxy:
    """What was asked of it: the targets, in order, and the credentials."""

    def __init__(self, credentials: str = "", answer: bytes = b"") -> None:
        self.targets: list[str] = []
        self._credentials = b64encode(credentials.encode())
        self._answer = answer

    def port_of(self, target: str) -> int:
        """Where on this machine the target is."""
        return int(target.rpartition(":")[2])

    async def serve(self, stream: ByteStream) -> None:
        async with stream:
            head = await read_head(stream)  # type: ignore[arg-type]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            assert method == "CONNECT"
            self.targets.append(target)
            if self._credentials and b"Basic " + self._credentials not in head:
                await stream.send(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
                return
            if self._answer:
                await stream.send(self._answer)
                return
            async with await anyio.connect_tcp("127.0.0.1", self.port_of(target)) as far:
                await stream.send(b"HTTP/1.1 200 Here you are\r\nVia: proxy\r\n\r\n")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_pump, stream, far, tasks.cancel_scope)
                    tasks.start_soon(_pump, far, stream, tasks.cancel_scope)


async def _pump(source: ByteStream, sink: ByteStream, both: anyio.CancelScope) -> None:
    try:
        while True:
            await sink.send(await source.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        both.cancel()


@asynccontextmanager
async def connect_proxy(proxy: ConnectProxy) -> AsyncIterator[str]:
    """Serve on loopback; gives `host:port`."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.serve)
        yield f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()
