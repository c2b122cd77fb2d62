"""What a language model is, whoever the vendor is: the contract that cascades are written against.

A third party's model needs `stream`, `aclose` and the two names. `trunkline.testing.suites.llm` checks the rest.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from trunkline.conversation import HistoryItem
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.llm.events import AnswerEvent, AnswerFinished, StopReason, TextReceived, ToolCallRequested
from trunkline.wire.realtime.usage import Usage

__all__ = [
    "PHONE_SYSTEM_PROMPT",
    "AnswerEvent",
    "AnswerFinished",
    "LLMProvider",
    "LanguageModel",
    "StopReason",
    "TextReceived",
    "ToolCallRequested",
    "Usage",
]

PHONE_SYSTEM_PROMPT = (
    "You are a helpful assistant on a telephone call. What you write is spoken to the caller, and what the caller says reaches you as "
    "text that may contain recognition errors. Answer in the caller's language, in one to three short sentences of plain speech. "
    "Use no lists, headings, markup, emojis or web addresses. Write numbers, dates and abbreviations as they are said aloud. "
    "Ask one question at a time. If something is unclear, ask; if you do not know, say so."
)
"""The system prompt of a model that was given none."""


@runtime_checkable
class LanguageModel(Protocol):
    """Answers a conversation in text, piece by piece, and calls tools.

    One object serves any number of calls at once, within one event loop.
    """

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    @property
    def model(self) -> str:
        """The vendor's name of the model, "" where there is none."""
        ...

    def stream(
        self,
        history: Sequence[HistoryItem],
        *,
        tools: Sequence[ToolDefinition] = (),
        system_prompt: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[AnswerEvent]]:
        """Ask for one answer: `async with model.stream(history) as events: async for event in events: …`.

        The events are texts and tool calls in their order and one `AnswerFinished`, after which iterating stops. Leaving the block
        before that, or being cancelled in it, closes the stream at once, so that the vendor stops generating.

        A failure before the first event may have been retried by then. Iterating raises it when retrying did not help, or when part of
        the answer was already told. An answer that ends without saying so is such a failure (`ConnectionFailed`, code `truncated`).

        Args:
            history: The conversation, oldest first; the last item is as a rule what the user said or a tool's result. Of the agent's
                words only those that the caller heard should be in it. A tool call without a result is told as not answered yet.
            tools: What the model may call. The model only asks for calls; whoever uses it runs them, puts call and result into the
                history and asks again.
            system_prompt: The system prompt of this answer; None means the model's own, "" none.

        Raises:
            AuthFailed: The key was refused.
            trunkline.errors.RateLimited: Too many requests, or the quota is used up (`QuotaExceeded`).
            ModelUnavailable: There is no such model for this key.
            RequestRejected: The vendor refused what was asked.
            ProviderUnavailable: The vendor is down or overloaded.
            ConnectionFailed: The vendor could not be reached, kept silent for too long, or the connection broke.
            ProviderError: It failed in another way.
        """
        ...

    async def aclose(self) -> None:
        """Close idle connections; any number of times. The model opens new ones when it is used again."""
        ...


class LLMProvider(Protocol):
    """A program's own way to answers: `language_model()` makes a `LanguageModel` of it."""

    def generate(self, input: str, history: Sequence[HistoryItem]) -> Any:  # noqa: A002 - the documents' name
        """Answer what the caller said; a plain method, `async`, or an (async) generator of pieces.

        Args:
            input: The caller's last words.
            history: The rest of the conversation, oldest first, with tool calls made since the caller spoke and their results at its end.

        Returns:
            The answer's text; or (text, tool calls). See `language_model`.
        """
        ...
