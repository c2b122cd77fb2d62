"""What waits to be said to the model in text, and when its time has come.

Text of the program's cuts a running answer and is an error while the model waits for a tool, so it is kept until neither is the case.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from trunkline.realtime.gemini.inbound import Inbound

SAY: Final = (
    "Say the text between <say> and </say> word for word, in its own language, and nothing else.\n<say>{text}</say>"
)
"""What `say` writes; between marks that no sentence has, so that quotes in the text are no harm."""

GO_ON: Final = "(It is your turn to speak.)"
"""What `create_response` writes, as the protocol has no such command."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """An answer to ask for; `text` is what the user says, "" for nothing, and `is_sentence` that the agent is to say it."""

    text: str = ""
    is_sentence: bool = False


class Requests:
    """The requests of one session.

    Args:
        inbound: What the vendor is doing.
        during_calls: Whether sentences may be spoken while tool calls wait for their results.
    """

    def __init__(self, inbound: Inbound, *, during_calls: bool) -> None:
        self._inbound = inbound
        self._during_calls = during_calls
        self._waiting: deque[Request] = deque()

    def add(self, request: Request) -> None:
        """Ask as soon as its time has come. Nothing in particular need not be asked for where an answer is on its way."""
        if request.text or not (self._waiting or self._inbound.answer_due):
            self._waiting.append(request)

    @property
    def wait_for_answer(self) -> bool:
        """Whether requests wait for an answer to begin that may never come."""
        return bool(self._waiting) and self._inbound.answer_due and not self._inbound.running

    def take(self) -> list[Request]:
        """What to ask for now: one sentence, or all texts that come next; they are no longer waiting."""
        inbound = self._inbound
        if inbound.running or inbound.answer_due or not self._waiting:
            return []
        if inbound.waits_for_tools:
            sentence = next((request for request in self._waiting if request.is_sentence), None)
            if sentence is None or not self._during_calls:
                return []
            self._waiting.remove(sentence)
            return [sentence]
        taken = [self._waiting.popleft()]
        while not taken[0].is_sentence and self._waiting and not self._waiting[0].is_sentence:
            taken.append(self._waiting.popleft())
        return taken

    def put_back(self, requests: list[Request]) -> None:
        """They could not be sent."""
        self._waiting.extendleft(reversed(requests))


def words(requests: list[Request]) -> list[str]:
    """What is written for them."""
    if requests[0].is_sentence:
        return [SAY.format(text=requests[0].text)]
    return [request.text for request in requests if request.text] or [GO_ON]
