"""Who may speak when: the one place that knows which response runs, which are wanted, and which tool calls are unanswered.

The protocol has one response at a time, does not go on by itself after a tool call, and starts responses of its own accord when its voice
activity detection is on. So every wish for a response goes through `ResponseArbiter`, and `next_request` gives it out when

- no response runs, and none that was asked for is under way,
- the user is not speaking: the answer would be talked over, and the user's turn brings one of its own,
- every tool call of the response that finished last is answered, unless the wish is for something to say meanwhile.

Nothing here waits or sends: the session tells what happened and sends what is given out.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from trunkline.errors import LocalProtocolError

KEPT = 16
"""Requests remembered after they were sent: one that crosses with responses of the vendor's own is refused some events later."""

EARLIER = "(earlier session)"
"""Stands for the response whose tool calls were carried over; no vendor's id looks like it."""


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """A response to ask for; `event_id` comes back in the error if the vendor refuses it.

    `instructions` and `options`, fields of `response.create`, hold for this response alone.
    """

    event_id: str
    instructions: str | None = None
    options: Mapping[str, Any] | None = None
    during_tools: bool = False

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The fields in which it differs from the session; None if it does not."""
        told = dict(self.options or {})
        if self.instructions is not None:
            told["instructions"] = self.instructions
        return told or None


class ResponseArbiter:
    """The state of a session's responses and tool calls."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._running: set[str] = set()
        self._cancelled: set[str] = set()
        self._wishes: deque[ResponseRequest] = deque()
        self._sent: deque[ResponseRequest] = deque(maxlen=KEPT)
        self._under_way = False
        self._cancel_next = False
        self._user_speaks = False
        self._calls: dict[str, str] = {}
        self._answered: set[str] = set()
        self._batches: dict[str, set[str]] = {}
        self._last_batch: set[str] = set()
        self._abandoned: set[str] = set()

    # ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def want(
        self,
        instructions: str | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        during_tools: bool = False,
    ) -> None:
        """Wish for a response; several wishes that ask for nothing in particular are one, as one answer serves them all.

        With `during_tools` it goes first, and does not wait for tool calls to be answered.
        """
        wish = ResponseRequest(f"response-{next(self._numbers)}", instructions, options, during_tools)
        if during_tools:
            self._wishes.appendleft(wish)
            return
        if wish.response is None and self._wishes and self._wishes[-1].response is None:
            return
        self._wishes.append(wish)

    def next_request(self) -> ResponseRequest | None:
        """The request that you must send now, if there is one; it counts as sent."""
        if not self._wishes or self._running or self._under_way or self._user_speaks:
            return None
        if self._last_batch and not self._wishes[0].during_tools:
            return None
        request = self._wishes.popleft()
        self._sent.append(request)
        self._under_way = True
        return request

    # ── what the vendor says ─────────────────────────────────────────────────────────────────────────────────────────

    def response_created(self, response_id: str) -> None:
        """A response runs: the one asked for, or one that the vendor began by itself."""
        self._running.add(response_id)
        self._under_way = False
        self._user_speaks = False
        if self._cancel_next:
            self._cancel_next = False
            self._cancelled.add(response_id)

    def response_done(self, response_id: str, *, cancelled: bool) -> None:
        """A response ended; if it was cancelled, the answers to its tool calls are no reason for another."""
        self._running -= {response_id, ""}
        self._cancelled -= {response_id, ""}
        batch = self._batches.get(response_id, set())
        self._last_batch = set() if cancelled else batch
        if cancelled:
            self._abandoned.add(response_id)
        self._settle(response_id)

    def refused(self, caused_by: str, *, response_runs: bool) -> None:
        """The vendor sent an error: a request that it was for is kept if another response was in the way, else dropped.

        `caused_by` is empty where the server does not repeat event ids, or the error is for something else. Such an error may have
        ended a request under way, so that one is waited for no longer; asking too soon only brings the error that is handled here.
        """
        refused = [request for request in self._sent if caused_by in {"", request.event_id}]
        if not refused:
            return
        if response_runs:
            self._sent.remove(refused[-1])
            self._wishes.appendleft(refused[-1])
            if not self._running:
                self._running.add("")  # it is not known here; its end is what the wish now waits for
        self._under_way = False
        self._cancel_next = False

    def not_sent(self, request: ResponseRequest) -> None:
        """What `next_request` gave out could not be sent."""
        self._sent.remove(request)
        self._wishes.appendleft(request)
        self._under_way = False

    def user_began(self, *, interrupts: bool) -> None:
        """The user speaks; if the vendor cancels its answer for that, nothing more of it is wanted."""
        self._user_speaks = True
        if interrupts:
            self._cancelled |= self._running

    def user_stopped(self) -> None:
        """The user's turn is over, or was thrown away."""
        self._user_speaks = False

    # ── the running response ─────────────────────────────────────────────────────────────────────────────────────────

    def wanted(self, response_id: str) -> bool:
        """Whether audio, words and tool calls of a response are still to be passed on."""
        live = self._running - self._cancelled
        return response_id in live or (not response_id and bool(live))

    def runs(self, response_id: str) -> bool:
        """Whether a response is not over yet, cancelled or not."""
        return response_id in self._running or (not response_id and bool(self._running))

    def cancel(self) -> str | None:
        """Nothing more of the running response is wanted; gives its id, "" if it has none yet, None if there is nothing to cancel."""
        live = self._running - self._cancelled
        if not live and not self._under_way:
            return None
        self._cancelled |= live
        self._cancel_next = not live
        return next(iter(live), "")

    # ── tool calls ───────────────────────────────────────────────────────────────────────────────────────────────────

    def call_requested(self, call_id: str, response_id: str) -> bool:
        """A tool call is complete; False if it was known already."""
        if call_id in self._calls:
            return False
        self._calls[call_id] = response_id
        self._batches.setdefault(response_id, set()).add(call_id)
        return True

    def carry_over(self, call_ids: Iterable[str]) -> None:
        """These calls were requested in an earlier session and are still unanswered; the last answer is a wish for a response."""
        for call_id in call_ids:
            self.call_requested(call_id, EARLIER)

    def begin_answer(self, call_id: str) -> None:
        """A tool call is about to be answered; you must call `finish_answer` once it is sent, or `withdraw_answer`.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        if call_id not in self._calls:
            raise LocalProtocolError(f"no tool call {call_id!r} was requested in this session")
        if call_id in self._answered:
            raise LocalProtocolError(f"tool call {call_id!r} was answered before")
        self._answered.add(call_id)

    def withdraw_answer(self, call_id: str) -> None:
        """The answer that was begun could not be sent."""
        self._answered.discard(call_id)

    def finish_answer(self, call_id: str) -> None:
        """The answer is with the vendor; the last one of a response that was not cancelled is a wish for the next."""
        response_id = self._calls[call_id]
        self._batches[response_id].discard(call_id)
        self._settle(response_id)

    def _settle(self, response_id: str) -> None:
        """Once a response is over and all its calls are answered: wish for the next, unless it was cancelled."""
        if response_id in self._running:
            return
        if response_id not in self._batches:
            self._abandoned.discard(response_id)
        elif not self._batches[response_id]:
            del self._batches[response_id]
            if response_id in self._abandoned:
                self._abandoned.discard(response_id)
            else:
                self.want()
