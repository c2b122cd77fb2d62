"""The ring: a bounded queue of bytes between two threads."""

import mmap
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline.audio import OPENAI, TWILIO, AudioFormat, RingBuffer, dbfs
from trunkline.errors import InvalidAudioData, InvalidConfig


def test_bytes_come_out_as_they_went_in() -> None:
    ring = RingBuffer(capacity=5)
    assert (ring.write(b"abc"), len(ring), ring.capacity) == (3, 3, 5)
    assert ring.read(2) == b"ab"
    assert ring.write(b"defgh") == 4  # exactly the room there is, over the storage's end
    assert (ring.read(100), len(ring)) == (b"cdefg", 0)


def test_what_does_not_fit_and_what_is_missing_is_counted() -> None:
    ring = RingBuffer(capacity=4)
    ring.write(b"abcdef")
    ring.write(b"g")
    assert (ring.overrun, ring.underrun) == (3, 0)
    ring.read(6)
    assert ring.read(3) == b""
    assert (ring.overrun, ring.underrun) == (3, 5)


def test_clear_drops_all_and_tells_how_much() -> None:
    ring = RingBuffer(capacity=8)
    ring.write(b"abcdef")
    assert (ring.clear(), len(ring), ring.read(1)) == (6, 0, b"")
    assert ring.clear() == 0
    assert (ring.write(b"12345678"), ring.read(8)) == (8, b"12345678")


def test_any_buffer_can_be_written() -> None:
    ring = RingBuffer(capacity=100)
    for audio in (bytearray(b"ab"), memoryview(b"ab"), np.frombuffer(b"ab", np.uint8), np.frombuffer(b"ab", np.int16)):
        assert (ring.write(audio), ring.read(2)) == (2, b"ab")
    with pytest.raises(InvalidAudioData):
        ring.write(np.zeros(3, np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("capacity", [0, -1, 2**30 + 1, 2**62])
def test_an_unreasonable_capacity_is_refused(capacity: int) -> None:
    with pytest.raises(InvalidConfig, match=str(capacity)):
        RingBuffer(capacity=capacity)


def refused_while(work: Callable[[], object], meanwhile: Callable[[], object]) -> int:
    """How often `meanwhile` raised while another thread did `work`."""
    started = threading.Event()

    def run() -> None:
        started.set()
        work()

    worker = threading.Thread(target=run)
    worker.start()
    started.wait()
    refused = 0
    while worker.is_alive():
        try:
            meanwhile()
        except RuntimeError:
            refused += 1
    worker.join()
    return refused


def test_two_writers_or_two_readers_at_once_raise() -> None:
    size = 64 << 20
    audio = bytes(size)
    ring = RingBuffer(capacity=size)
    writers = readers = 0
    for _ in range(20):  # a busy machine may let one thread finish before it lets the other begin
        writers += refused_while(lambda: ring.write(audio), lambda: ring.write(b""))
        readers += refused_while(lambda: ring.read(size), lambda: ring.read(0))
        if writers and readers:
            break
    assert writers > 0
    assert readers > 0


def test_threads_do_not_tear_bytes() -> None:
    ring = RingBuffer(capacity=4801)
    sent = np.random.default_rng(7).integers(0, 256, 150_000, dtype=np.uint8).tobytes()

    def produce() -> None:
        at = 0
        while at < len(sent):
            at += ring.write(sent[at : at + 960])

    producer = threading.Thread(target=produce)
    producer.start()
    got = bytearray()
    while len(got) < len(sent):
        got += ring.read(1600)
    producer.join()
    assert got == sent
    assert len(ring) == 0


def test_the_oldest_bytes_make_room_if_asked_for() -> None:
    ring = RingBuffer(capacity=4, overflow="drop_oldest")
    assert [ring.write(b"abc"), ring.write(b"def"), len(ring), ring.overrun] == [3, 3, 4, 2]
    assert ring.read(9) == b"cdef"
    assert (ring.write(b"0123456789"), ring.read(9), ring.overrun) == (4, b"6789", 8)
    for number in range(1000):
        ring.write(number.to_bytes(2, "big"))
    assert ring.read(4) == (998).to_bytes(2, "big") + (999).to_bytes(2, "big")


def test_a_blocked_writer_waits_for_room() -> None:
    ring = RingBuffer(capacity=4, overflow="block", block_ms=10_000)
    written: list[int] = []
    writer = threading.Thread(target=lambda: written.append(ring.write(b"abcdefghijkl")))
    writer.start()
    got = b""
    while len(got) < 12:
        got += ring.read(3)
    writer.join()
    assert (got, written, ring.overrun) == (b"abcdefghijkl", [12], 0)


def test_a_blocked_writer_gives_up_in_time() -> None:
    ring = RingBuffer(capacity=4, overflow="block", block_ms=1)
    assert (ring.write(b"abcdef"), ring.overrun, ring.read(9)) == (4, 2, b"abcd")


def test_a_second_writer_beside_a_blocked_one_is_refused() -> None:
    ring = RingBuffer(capacity=2, overflow="block", block_ms=10_000)
    writer = threading.Thread(target=ring.write, args=(b"abcd",))
    writer.start()
    while len(ring) < 2:  # from here on the writer waits inside
        pass
    with pytest.raises(RuntimeError, match="another thread is using this ring's writing end"):
        ring.write(b"x")
    assert (ring.read(2), ring.capacity) == (b"ab", 2)
    writer.join()
    assert ring.read(2) == b"cd"


def test_missing_audio_is_silence_of_its_format() -> None:
    for audio_format, silence in ((TWILIO, b"\xff"), (AudioFormat("alaw", 8_000), b"\xd5"), (OPENAI, b"\0")):
        ring = RingBuffer(capacity=320, underrun="silence", audio_format=audio_format)
        ring.write(b"\x22" * 100)
        assert ring.read(160) == b"\x22" * 100 + silence * 60
        assert (ring.read(160), ring.underrun) == (silence * 160, 220)


def test_missing_audio_is_the_last_sound_fading_away() -> None:
    ring = RingBuffer(capacity=640, underrun="hold", audio_format=AudioFormat("linear16", 8_000))
    assert set(ring.read(320)) == {0}
    ring.write(np.full(320, 16_384, "<i2"))
    levels = [dbfs(ring.read(320)) for _ in range(7)]
    assert levels[0] == levels[1] == pytest.approx(-6.02, abs=0.01)
    assert levels[1] > levels[2] > levels[3] > levels[4] > -30
    assert levels[5] == levels[6] == -np.inf
    ring.write(np.full(80, 8_192, "<i2"))
    partly = np.frombuffer(ring.read(320), "<i2")
    assert (partly[:80] == 8_192).all()
    assert partly[80] == 8_192  # not what was heard before the silence
    assert 0 < partly[159] < 8_192


def test_a_ring_of_a_format_keeps_samples_whole() -> None:
    ring = RingBuffer(capacity=6, overflow="drop_oldest", audio_format=OPENAI)
    with pytest.raises(InvalidAudioData, match="3 bytes"):
        ring.write(b"abc")
    with pytest.raises(InvalidConfig, match="size"):
        ring.read(3)
    assert (ring.write(b"aabbccdd"), ring.read(6)) == (6, b"bbccdd")


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"overflow": "drop"}, "drop_newest, drop_oldest or block"),
        ({"underrun": "conceal"}, "none, silence or hold"),
        ({"underrun": "hold"}, "audio_format"),
        ({"block_ms": -1}, "block_ms"),
        ({"block_ms": 10_001}, "block_ms"),
        ({"audio_format": OPENAI}, "capacity"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidConfig, match=wrong):
        RingBuffer(capacity=5, **options)


def test_records_are_overwritten_whole_between_threads() -> None:
    total = 50_000
    ring = RingBuffer(capacity=8 * 25, overflow="drop_oldest")

    def produce() -> None:
        for number in range(total):
            ring.write(number.to_bytes(8, "big"))

    producer = threading.Thread(target=produce)
    producer.start()
    numbers: list[int] = []
    alive = True
    while alive or len(ring):
        alive = producer.is_alive()
        records = ring.read(80)
        numbers += [int.from_bytes(records[at : at + 8], "big") for at in range(0, len(records), 8)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + ring.overrun // 8 == total


def test_unused_capacity_costs_no_memory() -> None:
    statm = pathlib.Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("there is no /proc")
    before = int(statm.read_text().split()[1])
    rings = [RingBuffer(capacity=2**29 + 1) for _ in range(4)]
    for ring in rings:
        ring.write(b"abc")
    pages = int(statm.read_text().split()[1]) - before
    assert pages * mmap.PAGESIZE < 2**24
    assert [ring.read(3) for ring in rings] == [b"abc"] * 4
