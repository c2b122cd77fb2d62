"""Clients of the packages `anthropic` and `openai` as language models: the program's own client asks, as it was configured."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Protocol

from pydantic_core import to_json

from trunkline.conversation import HistoryItem
from trunkline.errors import ConnectionFailed, ProviderError, TrunklineError
from trunkline.llm import anthropic, openai
from trunkline.llm.answer import DRAIN_TIMEOUT
from trunkline.llm.options import prompt
from trunkline.llm.pieces import Pieces
from trunkline.llm.provider import AnswerEvent, LanguageModel
from trunkline.tools import ToolDefinition, call
from trunkline.transport.websocket.client import retry_after
from trunkline.wire.fields import Fields
from trunkline.wire.llm.anthropic.decode import AnthropicDecoder
from trunkline.wire.llm.anthropic.errors import error_from_status as anthropic_error
from trunkline.wire.llm.anthropic.request import VENDOR as ANTHROPIC
from trunkline.wire.llm.anthropic.request import messages_request
from trunkline.wire.llm.openai.decode import ChatDecoder
from trunkline.wire.llm.openai.request import OPENAI, chat_request
from trunkline.wire.llm.openai.request import VENDOR as OPENAI_NAME
from trunkline.wire.vendors.openai import error_from_status as openai_error

DEFAULT_MAX_TOKENS: Final = 1024


class EventDecoder(Protocol):
    """Reads one answer out of events that were parsed before."""

    is_over: bool

    def event(self, event: Fields) -> list[AnswerEvent]:
        """One event of the vendor's."""
        ...

    def end(self) -> list[AnswerEvent]:
        """The stream is over."""
        ...


def client_model(
    client: Any, *, model: str | None, system_prompt: str | None, max_tokens: int | None
) -> LanguageModel | None:
    """The client as a language model; None if it is no such client."""
    completions = getattr(getattr(client, "chat", None), "completions", None)
    if callable(create := getattr(completions, "create", None)):
        return _openai_model(create, model or openai.DEFAULT_MODEL, system_prompt, max_tokens)
    if callable(create := getattr(getattr(client, "messages", None), "create", None)):
        return _anthropic_model(create, model or anthropic.DEFAULT_MODEL, system_prompt, max_tokens)
    return None


def _openai_model(
    create: Callable[..., Any], model: str, system_prompt: str | None, max_tokens: int | None
) -> LanguageModel:
    def body(history: Sequence[HistoryItem], tools: Sequence[ToolDefinition], words: str) -> dict[str, Any]:
        return chat_request(
            history, model=model, max_tokens=max_tokens, tools=tools, system_prompt=words, dialect=OPENAI
        )

    return ClientModel(
        OPENAI_NAME, model, create, body=body, decoder=ChatDecoder, error=openai_error, system_prompt=system_prompt
    )


def _anthropic_model(
    create: Callable[..., Any], model: str, system_prompt: str | None, max_tokens: int | None
) -> LanguageModel:
    thinking = anthropic.ThinkingMemory()

    def body(history: Sequence[HistoryItem], tools: Sequence[ToolDefinition], words: str) -> dict[str, Any]:
        return messages_request(
            history,
            model=model,
            max_tokens=max_tokens or DEFAULT_MAX_TOKENS,
            tools=tools,
            system_prompt=words,
            thinking_before=thinking.before,
        )

    return ClientModel(
        ANTHROPIC,
        model,
        create,
        body=body,
        decoder=partial(AnthropicDecoder, on_thinking=thinking.keep),
        error=anthropic_error,
        system_prompt=system_prompt,
    )


class ClientModel:
    """A client's method that streams answers, as a language model. Retries and timeouts are the client's; closing it is the program's."""

    def __init__(
        self,
        name: str,
        model: str,
        create: Callable[..., Any],
        *,
        body: Callable[[Sequence[HistoryItem], Sequence[ToolDefinition], str], dict[str, Any]],
        decoder: Callable[[], EventDecoder],
        error: Callable[..., ProviderError],
        system_prompt: str | None,
    ) -> None:
        self._name = name
        self._model = model
        self._create = create
        self._body = body
        self._decoder = decoder
        self._error = error
        self._system_prompt = system_prompt

    def __repr__(self) -> str:
        return f"ClientModel({self._name!r}, model={self._model!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return self._name

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
        body = self._body(history, tools, prompt(system_prompt, self._system_prompt))
        answer = _ClientAnswer(partial(self._create, **body, stream=True), self._decoder(), self._translated)
        try:
            yield answer
        finally:
            await answer.aclose()

    def _translated(self, error: Exception) -> ProviderError:
        """An exception of the client's as ours, by its facts: the packages themselves are not imported."""
        status = getattr(error, "status_code", None)
        headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
        body = getattr(error, "body", None)
        told = body if isinstance(body, dict) else {}
        if "error" not in told and (told or getattr(error, "code", None)):
            told = {"error": told or {"message": str(error), "code": getattr(error, "code", None)}}
        if status is None and not told:
            return ConnectionFailed(f"the client failed: {type(error).__name__}", vendor=self._name)
        # A status of 200 is that of a stream whose error came later: as if the service had failed.
        return self._error(
            status if isinstance(status, int) and status >= 400 else 500,
            to_json(told, fallback=str),
            retry_after=retry_after(headers.get("retry-after", "")),
            request_id=getattr(error, "request_id", None),
        )

    async def aclose(self) -> None:
        """The client is the program's to close."""


class _ClientAnswer:
    """The events of one answer."""

    def __init__(
        self, create: Callable[[], Any], decoder: EventDecoder, translated: Callable[[Exception], ProviderError]
    ) -> None:
        self._create = create
        self._decoder = decoder
        self._translated = translated
        self._pieces: Pieces | None = None
        self._events: deque[AnswerEvent] = deque()

    def __aiter__(self) -> "_ClientAnswer":
        return self

    async def __anext__(self) -> AnswerEvent:
        while not self._events:
            if self._decoder.is_over:
                raise StopAsyncIteration
            try:
                piece = await self._next()
            except TrunklineError:
                raise
            except Exception as error:
                raise self._translated(error) from error
            self._events += self._decoder.end() if piece is Pieces.END else self._decoder.event(piece)
        return self._events.popleft()

    async def _next(self) -> Any:
        """The next event as JSON-able values, or `Pieces.END`."""
        if self._pieces is None:
            self._pieces = Pieces(await call(self._create))
        piece = await self._pieces.next()
        return piece if piece is Pieces.END else piece.model_dump(mode="json", exclude_unset=True)

    async def aclose(self) -> None:
        """Close the client's stream. That of a complete answer is read to its end, which is near."""
        if self._pieces is None:
            return
        try:
            if self._decoder.is_over:
                await self._pieces.drain(DRAIN_TIMEOUT)
        finally:
            await self._pieces.aclose()
