"""What a language model's answer consists of, whoever the vendor is: one frozen class per event."""

from dataclasses import dataclass
from typing import Literal

from trunkline.wire.realtime.usage import Usage

StopReason = Literal["stop", "length", "tool_calls", "refusal", "other"]
"""Why an answer ended.

`stop`: it is complete. `length`: a limit of tokens cut it. `tool_calls`: the model waits for results. `refusal`: the model or the vendor
refuses; what came of the answer is void. `other`: a reason that only the vendor knows (`AnswerFinished.vendor_reason`).
"""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """The next piece of the answer's text, never empty. It may end anywhere, also inside a word."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    """The model calls a tool; `arguments` is JSON text as the model wrote it, "" for none. The id is never empty.

    It is told once the call is complete. A call that a limit of tokens cut is not told.
    """

    call_id: str
    name: str
    arguments: str = ""

    def __post_init__(self) -> None:
        if not self.call_id or not self.name:
            raise ValueError("a tool call must have an id and a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFinished:
    """The answer is complete; always the last event.

    Attributes:
        reason: Why it ended.
        usage: What it cost; None where the vendor does not say.
        vendor_reason: The vendor's own word for the reason.
        model: The model that answered, as the vendor names it.
        answer_id: The vendor's id of the answer.
    """

    reason: StopReason
    usage: Usage | None = None
    vendor_reason: str = ""
    model: str = ""
    answer_id: str = ""


AnswerEvent = TextReceived | ToolCallRequested | AnswerFinished
