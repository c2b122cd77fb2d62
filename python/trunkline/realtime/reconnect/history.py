"""What a session's events and commands make of a conversation, for the session that takes over from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from trunkline.conversation import HistoryItem, SpokenText
from trunkline.realtime import events

LONGEST = 500
"""Items told at most; the oldest are left out. An hour's call has about half of that, and vendors drop the oldest themselves."""


@dataclass(slots=True)
class _Spoken:
    role: Literal["user", "agent"]
    speech: SpokenText = field(default_factory=SpokenText)
    audio_ms: float = 0.0


class History:
    """The conversation so far. An item takes its place when it begins, although its words may come later.

    The agent's items end where the caller stopped listening (`truncate`), or where their audio ends if the session broke (`break_off`);
    what was not heard at all is left out, as are the user's turns of which no words are known.

    Args:
        before: What went before the first event.
    """

    def __init__(self, before: Sequence[HistoryItem] = ()) -> None:
        self._lines: list[HistoryItem | _Spoken] = list(before)
        self._spoken: dict[tuple[str, str], _Spoken] = {}
        self._earlier: dict[str, _Spoken] = {}
        self._unfinished: list[_Spoken] = []
        self._is_audible = False

    def begin_session(self) -> None:
        """Ids are a session's own: the next session's may be the same, but only the last one's are still cut by the caller."""
        self._earlier |= {item_id: line for (role, item_id), line in self._spoken.items() if role == "agent"}
        self._spoken = {}

    def take(self, event: events.SessionEvent) -> None:
        """Something happened in the session, other than that audio came."""
        match event:
            case events.SpeechStarted(item_id) | events.SpeechStopped(item_id) | events.UserTurnCommitted(item_id):
                self._line("user", item_id)
            case events.UserTranscript(text, is_final, item_id):
                self._line("user", item_id).speech.add_text(text, is_final=is_final)
            case events.AgentTranscript(text, is_final, item_id):
                self._line("agent", item_id).speech.add_text(text, is_final=is_final)
            case events.ResponseFinished():
                self._unfinished.clear()
            case events.ToolCallRequested(call_id, name, arguments):
                self._lines.append(HistoryItem(role="tool_call", call_id=call_id, name=name, arguments=arguments))
            case events.ToolCallCancelled(call_id):
                self._lines = [line for line in self._lines if isinstance(line, _Spoken) or line.call_id != call_id]
            case _:
                pass

    def hear_agent(self, item_id: str, ms: float) -> None:
        """So much audio of an item of the agent's came."""
        self._is_audible = True
        line = self._line("agent", item_id)
        line.audio_ms += ms
        line.speech.add_audio(int(line.audio_ms))

    def write(self, text: str) -> None:
        """The user said something in text."""
        self._lines.append(HistoryItem(role="user", text=text))

    def answer_call(self, call_id: str, result: str) -> None:
        """A tool call has its result."""
        self._lines.append(HistoryItem(role="tool_result", call_id=call_id, text=result))

    def truncate(self, item_id: str, heard_ms: int) -> bool:
        """The caller heard only the first `heard_ms` of an item of the agent's; False if it is of a session before the present one."""
        line = self._spoken.get(("agent", item_id))
        earlier = self._earlier.get(item_id)
        found = line or earlier
        if found is not None:
            found.speech.cut(heard_ms)
        return line is not None

    def break_off(self) -> None:
        """The session is gone: of the answer that was running, the words count whose audio had come."""
        for line in self._unfinished:
            if self._is_audible:
                line.speech.cut(line.speech.duration_ms)
        self._unfinished.clear()

    def items(self) -> tuple[HistoryItem, ...]:
        """What to tell a new session, oldest first; at most `LONGEST` items, and no result without its call."""
        told = [
            HistoryItem(role=line.role, text=line.speech.text.strip()) if isinstance(line, _Spoken) else line
            for line in self._lines
        ]
        told = [item for item in told if item.text or item.role in {"tool_call", "tool_result"}][-LONGEST:]
        calls = {item.call_id for item in told if item.role == "tool_call"}
        return tuple(item for item in told if item.role != "tool_result" or item.call_id in calls)

    def _line(self, role: Literal["user", "agent"], item_id: str) -> _Spoken:
        line = self._spoken.get((role, item_id))
        if line is None:
            line = self._spoken[role, item_id] = _Spoken(role)
            self._lines.append(line)
            if role == "agent":
                self._unfinished.append(line)
        return line
