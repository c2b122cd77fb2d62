"""Language models: vendors' clients, and whatever else can answer a conversation in text."""

from trunkline.llm.answer import AnswerTimeouts
from trunkline.llm.anthropic import AnthropicLLM
from trunkline.llm.injected import language_model
from trunkline.llm.openai import OpenAILLM
from trunkline.llm.provider import (
    PHONE_SYSTEM_PROMPT,
    AnswerEvent,
    AnswerFinished,
    LanguageModel,
    LLMProvider,
    StopReason,
    TextReceived,
    ToolCallRequested,
    Usage,
)
from trunkline.wire.llm.openai.request import Dialect

__all__ = [
    "PHONE_SYSTEM_PROMPT",
    "AnswerEvent",
    "AnswerFinished",
    "AnswerTimeouts",
    "AnthropicLLM",
    "Dialect",
    "LLMProvider",
    "LanguageModel",
    "OpenAILLM",
    "StopReason",
    "TextReceived",
    "ToolCallRequested",
    "Usage",
    "language_model",
]
