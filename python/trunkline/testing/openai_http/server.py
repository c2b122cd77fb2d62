"""The frame of OpenAI's HTTP interfaces: each of them is a part with routes of its own."""

import math
import ssl
from types import TracebackType
from typing import Any, Self

from trunkline.testing.openai_http.chat import ChatCompletions
from trunkline.testing.tls import loopback_tls
from trunkline.transport import Server, ServerLimits

LIMITS = ServerLimits(body=32 * 2**20, handler_timeout=math.inf)


class OpenAISimulator:
    """OpenAI's HTTP interfaces on loopback, for tests; the official SDK works with them unchanged.

        async with OpenAISimulator(chat=ChatCompletions(brain=ScriptedBrain(answers=[[Say("Hello.")]]))) as vendor:
            client = AsyncOpenAI(api_key="any", base_url=vendor.url)

    Args:
        chat: Chat Completions; None for one that greets.
        tls: True to serve TLS with a certificate of its own, which a client trusts with `client_tls` (needs the extra `testing`).
        port: 0 for any free one.
    """

    def __init__(self, *, chat: ChatCompletions | None = None, tls: bool = False, port: int = 0) -> None:
        self.chat = chat or ChatCompletions()
        served: ssl.SSLContext | None = None
        self.client_tls: ssl.SSLContext | None = None
        if tls:
            served, self.client_tls = loopback_tls()
        parts: list[Any] = [self.chat]
        routes = [route for part in parts for route in part.routes]
        self._server = Server(routes, port=port, tls=served, grace=0.0, limits=LIMITS)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The `base_url` for a client, ending in `/v1`."""
        return f"{self._server.url}/v1"
