"""Language models: vendors' clients, and whatever else can answer a conversation in text."""

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
