"""When to ask for a response: the one place that knows which response runs, which are to be asked for, and which tool calls are unanswered.

The protocol has one response at a time, does not go on by itself after a tool call, and starts responses of its own accord when its voice
activity detection is on. So every request goes through `ResponseArbiter`, and `next_request` gives it out when

- no response runs, and none that was asked for is about to begin,
- the user does not speak, and the vendor is not about to answer what they said,
- every tool call of the response that finished last is answered, unless the request is for something to say meanwhile.

A response that the vendor begins by itself answers to everything in the conversation: requests for nothing in particular are served by it,
if what they are about had reached the vendor.

Nothing here waits or sends: the session reports what happened, and sends what is given out.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from trunkline.errors import LocalProtocolError

KEPT = 16
"""Requests remembered after they were sent: one that crosses with responses of the vendor's own is refused some events later."""

EARLIER = "(earlier session)"
"""Stands for the response whose tool calls were carried over; no vendor's id looks like it."""

_UNKNOWN = ""
"""Stands for a running response that is known only from the refusal of another."""


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """A response to ask for.

    Attributes:
        event_id: Comes back in the error if the vendor refuses it.
        fields: What holds for this response alone, of `response.create`; nothing for an answer to the conversation as it is.
        during_tools: It does not wait for tool calls to be answered.
    """

    event_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    during_tools: bool = False


class ResponseArbiter:
    """The state of a session's responses and tool calls."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._queue: deque[ResponseRequest] = deque()
        self._sent: deque[ResponseRequest] = deque(maxlen=KEPT)
        self._is_requested = False
        self._cancel_next = False
        self._running: set[str] = set()
        self._cancelled: set[str] = set()
        self._user_speaks = False
        self._turn_ended = False
        self._vendor_answers = False
        self._unconfirmed = 0
        self._confirms = False
        self._calls: dict[str, str] = {}
        self._answered: set[str] = set()
        self._batches: dict[str, set[str]] = {}
        self._last_batch: set[str] = set()
        self._asides: set[str] = set()
        self._abandoned: set[str] = set()

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self, fields: Mapping[str, Any] | None = None, *, during_tools: bool = False) -> None:
        """Ask for a response as soon as its time has come.

        Several requests for nothing in particular in a row are one, as one answer serves them all. With `during_tools` it goes before
        those that wait for tools.
        """
        request = ResponseRequest(f"response-{next(self._numbers)}", dict(fields or {}), during_tools)
        if during_tools:
            self._queue.insert(sum(waiting.during_tools for waiting in self._queue), request)
        elif request.fields or not self._queue or self._queue[-1].fields:
            self._queue.append(request)

    @property
    def is_due(self) -> bool:
        """Whether `next_request` has something to give."""
        if not self._queue or self._running or self._is_requested or self._user_speaks or self._vendor_answers:
            return False
        return not self._last_batch or self._queue[0].during_tools

    @property
    def vendor_answers(self) -> bool:
        """Whether the vendor is about to answer the user's turn, which requests wait for; you must see that this does not last."""
        return self._vendor_answers

    def next_request(self) -> ResponseRequest | None:
        """The request that you must send now, if there is one; it counts as sent."""
        if not self.is_due:
            return None
        request = self._queue.popleft()
        self._sent.append(request)
        self._is_requested = True
        return request

    def not_sent(self, request: ResponseRequest) -> None:
        """What `next_request` gave out could not be sent."""
        self._sent.remove(request)
        self._queue.appendleft(request)
        self._is_requested = False

    def refused(self, caused_by: str, *, response_runs: bool) -> None:
        """The vendor sent an error: the request that it was for is kept if another response was in the way, else dropped.

        `caused_by` is empty where the server does not repeat event ids, or the error is for something else. Such an error may have
        ended a request that was sent, so that one is waited for no longer; asking too soon only brings the error that is handled here.
        """
        refused = [request for request in self._sent if caused_by in {"", request.event_id}]
        if not refused:
            return
        if response_runs:
            self._sent.remove(refused[-1])
            self._queue.appendleft(refused[-1])
            self._asides.clear()  # the response that began was not the one asked for
            if not self._running:
                self._running.add(_UNKNOWN)  # its end is what the request waits for
        self._is_requested = False
        self._cancel_next = False

    # ── the user ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def user_began(self, *, interrupts: bool) -> None:
        """The user speaks; if the vendor cancels its answer for that, nothing more of it is wanted."""
        self._user_speaks = True
        self._turn_ended = False
        self._vendor_answers = False
        if interrupts:
            self._cancelled |= self._running

    def user_stopped(self, *, answered: bool) -> None:
        """The user's turn is over; call it again when it is committed.

        Args:
            answered: The vendor will answer it by itself.
        """
        self._user_speaks = False
        if not self._turn_ended:
            # While an answer runs that nothing interrupted, the vendor cannot begin another.
            self._vendor_answers = answered and not self._running - self._cancelled
        self._turn_ended = True

    def turn_committed(self, *, answered: bool) -> None:
        """The user's turn is an item of the conversation; its end was reported before, or not at all."""
        self.user_stopped(answered=answered)
        self._turn_ended = False

    def turn_dropped(self) -> None:
        """What the user said was thrown away."""
        self._user_speaks = self._turn_ended = self._vendor_answers = False

    def vendor_is_silent(self) -> None:
        """The vendor does not answer the user's turn after all."""
        self._vendor_answers = False

    # ── items of the program ─────────────────────────────────────────────────────────────────────────────────────────

    def item_sent(self) -> None:
        """A text or a tool's result was sent to the vendor."""
        self._unconfirmed += 1

    def item_confirmed(self) -> None:
        """The vendor says that one of those is in the conversation."""
        self._confirms = True
        self._unconfirmed = max(0, self._unconfirmed - 1)

    # ── the running response ─────────────────────────────────────────────────────────────────────────────────────────

    def response_created(self, response_id: str) -> None:
        """A response runs: the one asked for, or one that the vendor began by itself."""
        self._running.add(response_id)
        if self._is_requested:
            self._is_requested = False
            if self._sent and self._sent[-1].during_tools:
                self._asides.add(response_id)
        else:
            self._user_speaks = False
            self._drop_served()
        self._vendor_answers = False
        if self._cancel_next:
            self._cancel_next = False
            self._cancelled.add(response_id)

    def _drop_served(self) -> None:
        """The vendor answers to all that is in the conversation; from vendors that confirm items we know what is not yet."""
        if self._confirms and self._unconfirmed:
            self._unconfirmed = 0  # one that is never confirmed must not stand in the way for ever
            return
        self._queue = deque(request for request in self._queue if request.fields)

    def response_done(self, response_id: str, *, cancelled: bool) -> None:
        """A response ended; if it was cancelled, the answers to its tool calls are no reason for another."""
        self._running -= {response_id, _UNKNOWN}
        self._cancelled -= {response_id, _UNKNOWN}
        if response_id not in self._asides:  # something said meanwhile does not end the wait for tools
            self._last_batch = set() if cancelled else self._batches.get(response_id, set())
        self._asides.discard(response_id)
        if cancelled:
            self._abandoned.add(response_id)
        self._settle(response_id)

    def is_wanted(self, response_id: str) -> bool:
        """Whether audio, words and tool calls of a response are still to be passed on."""
        return response_id in self._running and response_id not in self._cancelled

    @property
    def unwanted(self) -> frozenset[str]:
        """The responses that were cancelled and are not over yet."""
        return frozenset(self._running & self._cancelled - {_UNKNOWN})

    @property
    def wanted(self) -> frozenset[str]:
        """The responses that run and were not cancelled."""
        return frozenset(self._running - self._cancelled - {_UNKNOWN})

    def is_running(self, response_id: str) -> bool:
        """Whether a response is not over yet, cancelled or not."""
        return response_id in self._running

    def cancel(self) -> str | None:
        """Nothing more of the running response is wanted; gives its id, "" if it has none yet, None if there is nothing to cancel."""
        live = self._running - self._cancelled
        if not live and not self._is_requested:
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
        """These calls were requested in an earlier session and are still unanswered; the last result asks for a response."""
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
        """The answer is with the vendor; the last one of a response that was not cancelled asks for the next."""
        response_id = self._calls[call_id]
        self._batches[response_id].discard(call_id)
        self.item_sent()
        self._settle(response_id)

    def _settle(self, response_id: str) -> None:
        """Once a response is over and all its calls are answered: ask for the next, unless it was cancelled."""
        if response_id in self._running:
            return
        if response_id not in self._batches:
            self._abandoned.discard(response_id)
        elif not self._batches[response_id]:
            del self._batches[response_id]
            if response_id in self._abandoned:
                self._abandoned.discard(response_id)
            else:
                self.request()
