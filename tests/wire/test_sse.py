"""Server-sent events, wherever their bytes are divided."""

import pytest

from trunkline.errors import MessageTooLarge
from trunkline.wire.sse import ServerSentEvent, SseParser

STREAM = (
    b"\xef\xbb\xbfevent: a\r\ndata: x\xc3\xa9\r\ndata:y\r\nid: 7\r\nretry: 5\r\n\r\n: keep-alive\n\n"
    b"data: 2\n\nevent: empty\n\ndata\r\rdata: unfinished"
)
EVENTS = [ServerSentEvent("a", "xé\ny"), ServerSentEvent("", "2"), ServerSentEvent("", "")]


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
def test_a_stream_gives_the_same_events_in_pieces_of_any_size(size: int) -> None:
    parser = SseParser()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


def test_an_event_above_the_limit_is_refused_while_it_comes() -> None:
    parser = SseParser(max_event=1000)
    assert parser.feed(b"data: " + b"x" * 900 + b"\n\n") == [ServerSentEvent("", "x" * 900)]
    with pytest.raises(MessageTooLarge):  # noqa: PT012
        for _ in range(3):
            parser.feed(b"data: " + b"x" * 400 + b"\n")
    with pytest.raises(MessageTooLarge):
        SseParser(max_event=1000).feed(b"x" * 1001)
