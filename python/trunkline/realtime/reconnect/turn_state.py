"""Whose turn it is: the user's, the model's, a tool's, or nobody's. It tells when a session may be replaced without anybody noticing."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.realtime import events

SETTLED = 2.0
"""Seconds after which nothing more is expected of what was said: transcripts come about 0.7 s after a turn."""
REFUSED_AFTER = 5.0
"""Seconds after an error in which an answer that was asked for before it must begin, else the error was its refusal."""


@dataclass(slots=True, eq=False)
class ResponseRequest:
    """An answer that was asked for and did not begin.

    Attributes:
        instructions: What holds for it alone.
        sentence: What it is to say, for `say`; None for an answer of the model's own.
        during_tools: It was asked for while tools worked, to bridge the time until they are done.
        is_implied: It comes with another command that the next session will be given, such as a text, and needs none of its own.
    """

    instructions: str | None = None
    sentence: str | None = None
    during_tools: bool = False
    is_implied: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is like any other, so that one answer serves them all."""
        return self.instructions is None and self.sentence is None


class TurnState:
    """The state of one conversation; times are seconds of whatever clock the caller reads.

    Attributes:
        user_speaks: The vendor heard the user begin, and not stop.
        running: The answers that began and did not end, by id, each with what it was asked for by.
        requests: Answers asked for and not begun, oldest first.
        calls: Tool calls without a result, each with the answer it belongs to.
        turn_waits: The user's turn ended, and nothing came since.
        follows_up: The vendor was seen to follow up a turn by itself, with words or with an answer.
        last_event: When the vendor last said anything.
        last_request: When an answer was last asked for.
        heard_until: When the audio that was received will have been played, if it is played as it comes.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.user_speaks = False
        self.running: dict[str, ResponseRequest] = {}
        self.requests: deque[ResponseRequest] = deque()
        self.calls: dict[str, str] = {}
        self.turn_waits = False
        self.follows_up = False
        self.last_event = self.last_request = self.heard_until = now
        self._dropped: set[str] = set()
        self._turn_unanswered = False
        self._answers_turns = True  # until it is seen to wait until it is asked
        self._error_at: float | None = None
        self._failed: ResponseRequest | None = None

    # ── the vendor's side ────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, event: events.SessionEvent, now: float) -> None:
        """Something came, other than audio of an answer."""
        self.last_event = now
        waited, self.turn_waits = self.turn_waits, False
        match event:
            case events.SpeechStarted():
                self.user_speaks = True
            case events.SpeechStopped():
                self.user_speaks = False
                self.turn_waits = self._turn_unanswered = True
            case events.UserTranscript():
                self.follows_up |= waited
            case events.ResponseStarted(response_id):
                self._begin_response(response_id, follows_turn=waited)
            case events.ResponseFinished(response_id, status):
                request = self.running.pop(response_id, None)
                self._failed = request if status == "failed" else None
                if status == "cancelled":
                    self._dropped.add(response_id)
            case events.Interrupted():
                self.heard_until = now
            case events.ToolCallRequested(call_id, response_id=response_id):
                self.calls[call_id] = response_id
            case events.ToolCallCancelled(call_id):
                self.calls.pop(call_id, None)
            case events.ErrorReported():
                self.turn_waits = waited
                if self.requests and self._error_at is None:
                    self._error_at = now  # it may refuse one of them, or have nothing to do with them
            case _:
                self.turn_waits = waited

    def _begin_response(self, response_id: str, *, follows_turn: bool) -> None:
        self.follows_up |= follows_turn and not self.requests
        if self._turn_unanswered:
            self._turn_unanswered, self._answers_turns = False, not self.requests
        self._error_at = None
        self.running[response_id] = self.requests.popleft() if self.requests else ResponseRequest()

    # ── this side ────────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self, wanted: ResponseRequest, now: float) -> None:
        """An answer is asked for; several plain ones are one, as one answer serves them all."""
        if self._error_at is not None:  # nothing came of those before
            self.requests.clear()
            self._error_at = None
        self.last_request = now
        wanted.during_tools = wanted.sentence is not None and bool(self.calls)
        same = next((request for request in self.requests if request.is_plain), None) if wanted.is_plain else None
        if same is None:
            self.requests.append(wanted)
        else:
            same.is_implied |= wanted.is_implied

    def cancel(self) -> None:
        """Nothing more of the running answer is wanted, nor what its tool calls would bring."""
        self._dropped |= self.running.keys()
        self.requests.clear()

    def answer_call(self, call_id: str, now: float) -> None:
        """A tool call has its result; with the last one of an answer that was not cancelled the vendor goes on."""
        response_id = self.calls.pop(call_id, "")
        if response_id not in self._dropped and response_id not in self.calls.values():
            self.request(ResponseRequest(is_implied=True), now)

    # ── from one session to the next ─────────────────────────────────────────────────────────────────────────────────

    def expect_no_commands(self) -> None:
        """The next session is told in its history of all commands up to now, so each request must be made of it."""
        for request in self.requests:
            request.is_implied = False

    def break_off(self, now: float) -> ResponseRequest | None:
        """The session is gone, and with it what it was about to say; returns the answer that the caller is due, if any.

        Requests and tool calls stay, as the next session is told of them; not a request that was refused.
        """
        if self._error_at is not None and now - self._error_at >= REFUSED_AFTER:
            self.requests.clear()
        self._error_at = None
        cut = [request for response_id, request in self.running.items() if response_id not in self._dropped]
        if self._failed is not None:
            cut.append(self._failed)
        if not cut and self._turn_unanswered and self._answers_turns:
            cut.append(ResponseRequest())
        due = None if self.user_speaks or not cut else cut[0]  # what the user is saying brings the answer
        self.running.clear()
        self._failed = None
        self.user_speaks = self.turn_waits = self._turn_unanswered = False
        return due and ResponseRequest(due.instructions, due.sentence)

    def requests_to_make(self) -> Sequence[ResponseRequest]:
        """What the next session must be asked for: not what was to bridge the time of tools that are done by now."""
        self.requests = deque(request for request in self.requests if self.calls or not request.during_tools)
        return [request for request in self.requests if not request.is_implied]

    @property
    def is_request_due(self) -> bool:
        """Whether an answer must begin that was asked for; not if an error came since, which may have been its refusal."""
        return bool(self.requests) and self._error_at is None

    @property
    def is_answering(self) -> bool:
        """Whether an answer runs or is about to."""
        return bool(self.running) or self.is_request_due

    @property
    def is_busy(self) -> bool:
        """Whether somebody speaks, works or is waited for."""
        return self.user_speaks or self.is_answering or bool(self.calls)

    def quiet_from(self) -> float | None:
        """From when nothing is under way and everything said was heard; None if that depends on what comes."""
        return None if self.is_busy else max(self.last_event + SETTLED, self.heard_until)
