"""The event log: what an event holds, and what is kept of many."""

import json
from datetime import UTC, datetime

import pytest

from trunkline.clock import ManualClock
from trunkline.errors import LocalProtocolError, RateLimited
from trunkline.pipeline import Event, EventType
from trunkline.pipeline.events import EventLog

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def words(log: EventLog, text: str, item_id: str = "a1", *, is_final: bool = False) -> None:
    log.emit(EventType.AGENT_TRANSCRIPT, text=text, is_final=is_final, item_id=item_id)


async def read(log: EventLog) -> list[Event]:
    log.emit(EventType.SESSION_ENDED, reason="closed")
    return [event async for event in log.read()]


def test_event_takes_its_arguments_in_the_documents_order() -> None:
    error = ValueError("no")
    event = Event(EventType.ERROR, NOW, {"text": "hm"}, error)
    assert (event.type, event.timestamp, event.data, event.error) == (EventType.ERROR, NOW, {"text": "hm"}, error)
    assert (event.text, event.offset_ms) == ("hm", 0)
    with pytest.raises(TypeError):
        Event(EventType.ERROR, NOW, {}, None, 20)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RateLimited("slow down", "429"), {"code": "429", "message": "slow down", "class": "RateLimited"}),
        (LocalProtocolError("not now"), {"code": None, "message": "not now", "class": "LocalProtocolError"}),
    ],
)
def test_error_event_as_json_has_code_message_and_class(error: Exception, told: dict[str, object]) -> None:
    event = Event(EventType.ERROR, NOW, error=error, offset_ms=7)
    assert json.loads(json.dumps(event.to_json())) == {
        "type": "error",
        "timestamp": NOW.isoformat(),
        "offset_ms": 7,
        "error": told,
    }


async def test_final_words_take_the_place_of_their_pieces() -> None:
    log = EventLog(ManualClock())
    for piece in ("we ", "are ", "open"):
        words(log, piece)
    words(log, "other", "a2")
    words(log, "We are open.", is_final=True)
    told = [(event.text, event.data["is_final"]) for event in (await read(log))[:-1]]
    assert told == [("other", False), ("We are open.", True)]


async def test_pieces_are_told_as_they_come_to_those_who_read_in_time() -> None:
    log = EventLog(ManualClock())
    words(log, "we ")
    seen: list[str] = []
    async for event in log.read():
        seen.append(event.text)
        if event.text == "we ":
            words(log, "We are open.", is_final=True)
            log.emit(EventType.SESSION_ENDED, reason="closed")
    assert seen == ["we ", "We are open.", ""]


async def test_control_events_are_never_dropped_and_dropped_pieces_are_counted() -> None:
    log = EventLog(ManualClock(), max_pieces=10)
    for number in range(30):
        words(log, "piece", f"a{number}")
    for _ in range(25_000):
        log.emit(EventType.DTMF, digit="1")
    events = await read(log)
    assert log.dropped == 20
    assert [event.type for event in events].count(EventType.DTMF) == 25_000
    assert events[-1].type is EventType.SESSION_ENDED


async def test_final_words_make_room_for_new_pieces() -> None:
    log = EventLog(ManualClock(), max_pieces=2)
    for number in range(50):
        words(log, "one ", f"a{number}")
        words(log, "two", f"a{number}")
        words(log, "one two", f"a{number}", is_final=True)
    assert log.dropped == 0
    assert [event.text for event in (await read(log))[:-1]] == ["one two"] * 50
