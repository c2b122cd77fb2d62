"""The ring: a bounded queue of bytes between two threads."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from trunkline.audio import RingBuffer
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
