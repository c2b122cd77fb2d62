"""Anthropic's models, through the Messages API."""

import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import HistoryItem
from trunkline.llm.answer import AnswerSource, AnswerTimeouts, Vendor
from trunkline.llm.options import checked_extra, checked_model, prompt
from trunkline.llm.provider import AnswerEvent
from trunkline.tools.definition import ToolDefinition
from trunkline.transport.endpoint import checked_key, http_base
from trunkline.wire.llm.anthropic.decode import AnthropicDecoder
from trunkline.wire.llm.anthropic.errors import error_from_status
from trunkline.wire.llm.anthropic.request import VENDOR, VERSION, Blocks, messages_request

BASE_URL: Final = "https://api.anthropic.com"
DEFAULT_MODEL: Final = "claude-sonnet-4-20250514"

_VENDOR: Final = Vendor(
    name=VENDOR, path="v1/messages", error_from_status=error_from_status, request_id_header="request-id"
)


class AnthropicLLM:
    """A model of Anthropic's; see `LanguageModel`.

    Args:
        api_key: The key; the environment variable `ANTHROPIC_API_KEY` if None. It is never shown.
        model: The vendor's name of the model.
        system_prompt: What the model is told first; None means `PHONE_SYSTEM_PROMPT`, "" nothing.
        max_tokens: How long an answer may be, thinking included.
        temperature: None leaves it to the vendor; newer models refuse any.
        cache: Whether the vendor keeps system prompt and tools from one answer to the next, which makes the later ones begin sooner.
        extra_body: Further members of each request, such as `{"thinking": {"type": "disabled"}}`; they reach the vendor as they are.
        base_url: Where the API is, without `/v1`; `http` for this machine only.
        retries: How many more times an answer is asked for that failed before anything of it was told.
        timeouts: How long an answer may take.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy; None for none, "environment" for what `HTTPS_PROXY` and `NO_PROXY` say.
        clock: Where time comes from.

    Raises:
        InvalidConfig: There is no key, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str = DEFAULT_MODEL,
        system_prompt: str | None = None,
        max_tokens: int = 1024,
        temperature: float | None = None,
        cache: bool = True,
        extra_body: Mapping[str, Any] | None = None,
        base_url: str = BASE_URL,
        retries: int = 2,
        timeouts: AnswerTimeouts | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        key = checked_key(api_key, "ANTHROPIC_API_KEY")
        self._model = checked_model(model, max_tokens)
        self._system_prompt = system_prompt
        self._max_tokens = max_tokens
        self._cache = cache
        self._extra = checked_extra(extra_body)
        if temperature is not None:
            self._extra = {"temperature": temperature} | self._extra
        self._thinking = ThinkingMemory()
        self._source = AnswerSource(
            _VENDOR,
            base_url=http_base(base_url),
            headers={"x-api-key": key, "anthropic-version": VERSION},
            api_key=key,
            retries=retries,
            timeouts=timeouts,
            tls=tls,
            proxy=proxy,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"AnthropicLLM(model={self._model!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    @property
    def model(self) -> str:
        """The vendor's name of the model."""
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
        body = messages_request(
            history,
            model=self._model,
            max_tokens=self._max_tokens,
            tools=tools,
            system_prompt=prompt(system_prompt, self._system_prompt),
            cache=self._cache,
            thinking_before=self._thinking.before,
        )
        decoder = partial(AnthropicDecoder, on_thinking=self._thinking.keep)
        async with self._source.answer({**body, "stream": True, **self._extra}, decoder) as events:
            yield events

    async def aclose(self) -> None:
        """Close idle connections; any number of times."""
        await self._source.aclose()


class ThinkingMemory:
    """What models thought before tool calls: the vendor wants it back with the results, and a history does not hold it.

    Args:
        limit: How many calls' thinking is kept; the oldest goes first.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._blocks: OrderedDict[str, Blocks] = OrderedDict()

    def keep(self, call_id: str, blocks: Blocks) -> None:
        """Keep the blocks that stand before this call."""
        self._blocks[call_id] = blocks
        while len(self._blocks) > self._limit:
            self._blocks.popitem(last=False)

    def before(self, call_id: str) -> Blocks:
        """The blocks that stood before this call."""
        return self._blocks.get(call_id, ())
