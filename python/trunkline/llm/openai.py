"""OpenAI's models, and those of any server that speaks Chat Completions."""

import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import HistoryItem
from trunkline.llm.answer import AnswerSource, AnswerTimeouts, Vendor
from trunkline.llm.options import checked_extra, checked_model, prompt
from trunkline.llm.provider import AnswerEvent
from trunkline.tools.definition import ToolDefinition
from trunkline.transport.endpoint import checked_key, http_base
from trunkline.wire.llm.openai.decode import ChatDecoder
from trunkline.wire.llm.openai.request import COMPATIBLE, OPENAI, VENDOR, Dialect, chat_request
from trunkline.wire.vendors.openai import error_from_status

BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_MODEL: Final = "gpt-4o"

_VENDOR: Final = Vendor(
    name=VENDOR, path="chat/completions", error_from_status=error_from_status, request_id_header="x-request-id"
)


class OpenAILLM:
    """A model of OpenAI's, or of a server that speaks the same protocol; see `LanguageModel`.

    Args:
        api_key: The key; the environment variable `OPENAI_API_KEY` if None, which is sent to OpenAI alone. Another server (`base_url`) gets
            a key only if one is passed here. It is never shown.
        model: The server's name of the model.
        system_prompt: What the model is told first; None means `PHONE_SYSTEM_PROMPT`, "" nothing.
        max_tokens: How long an answer may be; None leaves it to the server.
        temperature: None leaves it to the server; reasoning models refuse any but 1.
        reasoning_effort: "none", "low", … ; None leaves it to the server. Newer models call tools with "none" only.
        extra_body: Further members of each request; they reach the server as they are.
        base_url: Where the API is, `/v1` included; `http` for this machine only.
        dialect: In what the server differs; None goes by the address.
        retries: How many more times an answer is asked for that failed before anything of it was told.
        timeouts: How long an answer may take.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy; None for none, "environment" for what `HTTPS_PROXY` and `NO_PROXY` say.
        clock: Where time comes from.

    Raises:
        InvalidConfig: There is no key for OpenAI, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str = DEFAULT_MODEL,
        system_prompt: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        reasoning_effort: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        base_url: str = BASE_URL,
        dialect: Dialect | None = None,
        retries: int = 2,
        timeouts: AnswerTimeouts | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        is_openai = urlsplit(base_url).hostname == urlsplit(BASE_URL).hostname
        key = (api_key or os.environ.get("OPENAI_API_KEY", "")) if is_openai else api_key or ""
        if is_openai or key:
            checked_key(key, "OPENAI_API_KEY")
        self._model = checked_model(model, max_tokens)
        self._system_prompt = system_prompt
        self._max_tokens = max_tokens
        self._dialect = dialect or (OPENAI if is_openai else COMPATIBLE)
        chosen = {"temperature": temperature, "reasoning_effort": reasoning_effort}
        self._extra = {name: value for name, value in chosen.items() if value is not None} | checked_extra(extra_body)
        self._source = AnswerSource(
            _VENDOR,
            base_url=http_base(base_url),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            api_key=key,
            retries=retries,
            timeouts=timeouts,
            tls=tls,
            proxy=proxy,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"OpenAILLM(model={self._model!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    @property
    def model(self) -> str:
        """The server's name of the model."""
        return self._model

    @asynccontextmanager
    async def stream(
        self,
        history: Sequence[HistoryItem],
        *,
        tools: Sequence[ToolDefinition] = (),
        system_prompt: str | None = None,
    ) -> AsyncIterator[AsyncIterator[AnswerEvent]]:
        """Ask for one answer; see `LanguageModel.stream`."""
        body = chat_request(
            history,
            model=self._model,
            max_tokens=self._max_tokens,
            tools=tools,
            system_prompt=prompt(system_prompt, self._system_prompt),
            dialect=self._dialect,
        )
        async with self._source.answer({**body, "stream": True, **self._extra}, ChatDecoder) as events:
            yield events

    async def aclose(self) -> None:
        """Close idle connections; any number of times."""
        await self._source.aclose()
