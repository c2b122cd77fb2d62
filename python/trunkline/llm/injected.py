"""Whatever else can answer a conversation, as a language model: official clients, objects with `generate`, plain functions."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import uuid4

from pydantic_core import to_json

from trunkline.conversation import HistoryItem, ToolCall
from trunkline.errors import InvalidConfig, ProviderError, TrunklineError
from trunkline.llm.official import client_model
from trunkline.llm.options import prompt
from trunkline.llm.pieces import Pieces
from trunkline.llm.provider import AnswerEvent, AnswerFinished, LanguageModel, TextReceived, ToolCallRequested
from trunkline.tools import ToolDefinition, call

NAME: Final = "custom"

_TOO_ODD: Final = "must be a LanguageModel, a client of anthropic or openai, an object with generate(input, history), or a function of both"


def language_model(
    source: Any, *, model: str | None = None, system_prompt: str | None = None, max_tokens: int | None = None
) -> LanguageModel:
    """Make a language model of anything that can answer a conversation.

    Args:
        source: One of these:

            - a `LanguageModel`, which is returned as it is;
            - a client of the packages `anthropic` or `openai`, `async` or not, with all that it was configured with;
            - an object with `generate(input, history)`, or a function `(input, history)`: plain, which then runs in a worker thread,
              `async`, or a generator of either kind. `input` is the caller's last words, `history` the rest of the conversation as
              `HistoryItem`s, oldest first. Parameters named `tools` and `system_prompt` are given, too, if there are such.

            A function returns the answer's text, or (text, tool calls), or None for no answer. A generator gives pieces of text, and tool
            calls between them. A tool call is a `ToolCallRequested`, a `ToolCall`, (name, arguments), or a mapping with `name`, `arguments`
            and perhaps `id`; a `ToolCall` that has its result was made by the function itself, and is left out.
        model: The vendor's name of the model, of official clients; None means the default of `AnthropicLLM` or `OpenAILLM`.
        system_prompt: What the model is told first; None means `PHONE_SYSTEM_PROMPT`.
        max_tokens: How long an answer may be, of official clients.

    Raises:
        InvalidConfig: It is none of these.
    """
    if isinstance(source, LanguageModel) and not inspect.isclass(source):
        return source
    official = client_model(source, model=model, system_prompt=system_prompt, max_tokens=max_tokens)
    if official is not None:
        return official
    generate = getattr(source, "generate", None)
    answer = generate if callable(generate) else source
    if inspect.isclass(source) or not callable(answer):
        raise InvalidConfig("llm", f"{_TOO_ODD}, got {source!r:.80}")
    return FunctionModel(answer, model=model or "", system_prompt=system_prompt)


class FunctionModel:
    """A function of (input, history) as a language model; see `language_model`."""

    def __init__(self, function: Callable[..., Any], *, model: str = "", system_prompt: str | None = None) -> None:
        self._function = function
        self._model = model
        self._system_prompt = system_prompt
        self._wanted = _further_parameters(function)

    def __repr__(self) -> str:
        return f"FunctionModel({getattr(self._function, '__qualname__', type(self._function).__name__)})"

    @property
    def name(self) -> str:
        """Not a vendor's name."""
        return NAME

    @property
    def model(self) -> str:
        """What the program calls it, "" for nothing."""
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
        further = {"tools": tuple(tools), "system_prompt": prompt(system_prompt, self._system_prompt)}
        words, rest = _divided(history)
        function = partial(self._function, **{name: further[name] for name in self._wanted})
        answer = _FunctionAnswer(function, words, rest)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def aclose(self) -> None:
        """There is nothing to close."""


@dataclass(slots=True)
class _FunctionAnswer:
    """The events of one answer of a function."""

    function: Callable[..., Any]
    words: str
    history: tuple[HistoryItem, ...]
    pieces: Pieces | None = None
    has_called: bool = False
    is_over: bool = False

    def __aiter__(self) -> "_FunctionAnswer":
        return self

    async def __anext__(self) -> AnswerEvent:
        if self.is_over:
            raise StopAsyncIteration
        try:
            event = await self._next()
        except TrunklineError:
            raise
        except Exception as error:
            # Its words are the program's own and may hold anything; the cause has them.
            raise ProviderError(f"the function failed: {type(error).__name__}", vendor=NAME) from error
        if event is None:
            self.is_over = True
            return AnswerFinished(reason="tool_calls" if self.has_called else "stop")
        return event

    async def _next(self) -> AnswerEvent | None:
        if self.pieces is None:
            self.pieces = await self._started()
        while True:
            piece = await self.pieces.next()
            if piece is Pieces.END:
                return None
            event = _event(piece)
            if event is not None:
                self.has_called = self.has_called or isinstance(event, ToolCallRequested)
                return event

    async def _started(self) -> Pieces:
        function = self.function.func if isinstance(self.function, partial) else self.function
        if inspect.isasyncgenfunction(function):
            return Pieces(self.function(self.words, self.history))
        result = await call(self.function, self.words, self.history)
        if hasattr(result, "__aiter__") or isinstance(result, Iterator):
            return Pieces(result)
        return Pieces(_each(_parts(result)))

    async def aclose(self) -> None:
        """Close a generator that was not read to its end."""
        self.is_over = True
        if self.pieces is not None:
            await self.pieces.aclose()


def _further_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(name for name in ("tools", "system_prompt") if name in parameters)


def _divided(history: Sequence[HistoryItem]) -> tuple[str, tuple[HistoryItem, ...]]:
    """The user's last words, and the rest."""
    for index in range(len(history) - 1, -1, -1):
        if history[index].role == "user":
            return history[index].text, (*history[:index], *history[index + 1 :])
    return "", tuple(history)


async def _each(parts: Sequence[Any]) -> AsyncIterator[Any]:
    for part in parts:
        yield part


def _parts(result: Any) -> list[Any]:
    """What a function returned, as pieces."""
    match result:
        case None:
            return []
        case (str() | None as text, list() | tuple() | None as calls):
            return [text or "", *(calls or ())]
        case list():
            return list(result)
        case _:
            return [result]


def _event(piece: Any) -> AnswerEvent | None:
    """A piece of an answer as an event; None for one that is nothing to tell.

    Raises:
        TypeError: It is neither a text nor a tool call.
    """
    match piece:
        case None | "":
            return None
        case str():
            return TextReceived(piece)
        case TextReceived() | ToolCallRequested():
            return piece
        case ToolCall():
            return None if piece.result or piece.error else _called("", piece.name, piece.arguments)
        case (str() as name, arguments):
            return _called("", name, arguments)
        case Mapping() if "name" in piece:
            return _called(str(piece.get("id") or ""), str(piece["name"]), piece.get("arguments"))
        case _:
            raise TypeError(f"an answer's piece must be a text or a tool call, not {type(piece).__name__}")


def _called(call_id: str, name: str, arguments: Any) -> ToolCallRequested:
    text = arguments if isinstance(arguments, str) else to_json(arguments or {}).decode()
    return ToolCallRequested(call_id or f"call_{uuid4().hex}", name, text)
