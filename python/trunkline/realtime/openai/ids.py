"""Ids for what a server leaves without one, so that every turn, answer, item and call of a session has its own.

A server that gives an id later than the thing itself (a turn that begins without and is committed with one) is understood too: both are the
same turn from then on.
"""

from itertools import count

from trunkline.wire.realtime.openai.events import Item


class _Current:
    """The turn or the response that is going on, and the ids of earlier ones that the server named late."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._numbers = count(1)
        self._id = ""
        self._is_nameless = False
        self._minted: dict[str, str] = {}  # our id, by the server's

    def begin(self, server_id: str) -> str:
        """One begins."""
        self._is_nameless = not server_id
        self._id = server_id or f"{self._kind}-{next(self._numbers)}"
        return self._id

    @property
    def id(self) -> str:
        """The id of the present one; "" where there is none."""
        return self._id

    def find(self, server_id: str) -> str:
        """The id of the one that an event is about: the present one where the server does not say; "" where there is none."""
        if server_id == self._id or not server_id:
            return self._id
        if self._is_nameless and server_id not in self._minted:
            self._is_nameless = False
            self._minted[server_id] = self._id
        return self._minted.get(server_id, server_id)

    def server_id(self, own_id: str) -> str:
        """What the server calls it; "" where it has no name for it."""
        for server_id, minted in self._minted.items():
            if minted == own_id:
                return server_id
        return "" if self._is_nameless and own_id == self._id else own_id


class SessionIds:
    """The ids of one session."""

    def __init__(self) -> None:
        self._turns = _Current("user")
        self._responses = _Current("response")
        self._speaks = False
        self._calls = count(1)
        self._nameless_calls: dict[tuple[str, str, str], str] = {}

    def turn_began(self, item_id: str) -> str:
        """The user begins to speak."""
        self._speaks = True
        return self._turns.begin(item_id)

    def turn(self, item_id: str) -> str:
        """The turn that an event is about."""
        return self._turns.find(item_id) or self._turns.begin(item_id)

    @property
    def current_turn(self) -> str:
        """The user's latest turn; "" before the first."""
        return self._turns.id

    def turn_committed(self, item_id: str) -> str:
        """The user's turn is over, or a turn that no event spoke of before."""
        turn = self.turn(item_id) if self._speaks else self._turns.begin(item_id)
        self._speaks = False
        return turn

    def response_began(self, response_id: str) -> str:
        """An answer begins."""
        return self._responses.begin(response_id)

    def response(self, response_id: str) -> str:
        """The answer that an event is about."""
        return self._responses.find(response_id) or self._responses.begin(response_id)

    def server_response(self, response_id: str) -> str:
        """What the server calls an answer; "" where it has no name for it."""
        return self._responses.server_id(response_id)

    def part(self, response_id: str, item_id: str, content_index: int) -> str:
        """A part of an item of an answer; the first has the id of the item."""
        item_id = item_id or f"{response_id}-item"
        return f"{item_id}#{content_index}" if content_index else item_id

    def call(self, response_id: str, item: Item) -> str:
        """A tool call; the same for every event that tells of it."""
        if item.call_id or item.item_id:
            return item.call_id or item.item_id
        key = (response_id, item.name, item.arguments)
        if key not in self._nameless_calls:
            self._nameless_calls[key] = f"call-{next(self._calls)}"
        return self._nameless_calls[key]
