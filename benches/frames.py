"""What a frame of 20 ms costs on its way through the WebSocket codec and the links, beside `websockets` and the same in Python.

All contenders run in turn, round after round, so that all meet the same weather; the ratios of one run decide. `python -m benches.frames`.
"""

import argparse
import os
import statistics
import time
from base64 import b64encode
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from dataclasses import dataclass

from pydantic_core import from_json
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from trunkline._native._rust import Downlink, Uplink, WebSocketCodec
from trunkline.audio import OPENAI, TWILIO, StreamConverter
from trunkline.wire.media import Anything, Counter, Expected, MarkTemplate, MediaShape, MediaTemplate

BATCH = 400  # calls that are timed together: long beside the clock's grain
FRAME, PCM = os.urandom(160), os.urandom(960)
SID = f"MZ{0:032}"
MEDIA = (
    '{"event":"media","sequenceNumber":"17","media":{"track":"inbound","chunk":"17","timestamp":"340","payload":"'
    f'{b64encode(FRAME).decode()}"}},"streamSid":"{SID}"}}'
)
DELTA = (
    '{"type":"response.output_audio.delta","event_id":"event_1","response_id":"resp_1","item_id":"item_1",'
    f'"output_index":0,"content_index":0,"delta":"{b64encode(PCM).decode()}"}}'
)
APPEND = f'{{"type":"input_audio_buffer.append","audio":"{b64encode(PCM).decode()}"}}'
FROM_PHONE = Frame(Opcode.TEXT, MEDIA.encode()).serialize(mask=True)
FROM_MODEL = Frame(Opcode.TEXT, DELTA.encode()).serialize(mask=False)

CARRIER = MediaShape(
    audio="media.payload",
    expected=(
        Expected("event", "media"),
        Expected("streamSid", SID),
        Expected("media.track", "inbound"),
        Expected("media.timestamp", Anything.DIGITS),
    ),
    counter=Counter("sequenceNumber", is_text=True),
)
PROVIDER = MediaShape(
    audio="delta",
    expected=(Expected("type", "response.output_audio.delta"),),
    response_id="response_id",
    item_id="item_id",
)
TO_PROVIDER = MediaTemplate(head='{"type":"input_audio_buffer.append","audio":"', tail='"}')
TO_CARRIER = MediaTemplate(head=f'{{"event":"media","streamSid":"{SID}","media":{{"payload":"', tail='"}}')
MARK = MarkTemplate(f'{{"event":"mark","streamSid":"{SID}","mark":{{"name":"', '"}}')


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of work, as the core does it and as it was done before."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


def pieces() -> list[Piece]:
    server, client = Protocol(SERVER, state=OPEN), Protocol(CLIENT, state=OPEN)
    phone, model = WebSocketCodec(is_client=False, max_size=65_536), WebSocketCodec(is_client=True, max_size=2**24)
    return [
        Piece("read a carrier's message", lambda: phone.feed(FROM_PHONE), lambda: _read(server, FROM_PHONE)),
        Piece("read a provider's message", lambda: model.feed(FROM_MODEL), lambda: _read(client, FROM_MODEL)),
        Piece("write to a provider", lambda: model.text(APPEND), lambda: _write(client, APPEND)),
        Piece("caller to provider, all of it", _uplink(phone), _uplink_in_python(server, client)),
        Piece("provider to caller, all of it", _downlink(model), _downlink_in_python(server, client)),
    ]


def measure(rounds: int) -> list[tuple[str, float, float, float]]:
    """Of each piece: its name, nanoseconds here and there, and the ratio; medians."""
    taken: dict[str, list[tuple[float, float]]] = {}
    contenders = pieces()
    for _ in range(rounds):
        for piece in contenders:
            taken.setdefault(piece.name, []).append((_batch(piece.ours), _batch(piece.theirs)))
    return [
        (
            name,
            statistics.median(ours for ours, _ in both),
            statistics.median(theirs for _, theirs in both),
            statistics.median(theirs / ours for ours, theirs in both),
        )
        for name, both in taken.items()
    ]


def _batch(work: Callable[[], object]) -> float:
    begun = time.perf_counter_ns()
    for _ in range(BATCH):
        work()
    return (time.perf_counter_ns() - begun) / BATCH


def _read(protocol: Protocol, data: bytes) -> list[str]:
    protocol.receive_data(data)
    return [str(event.data, "utf-8") for event in protocol.events_received() if isinstance(event, Frame)]


def _write(protocol: Protocol, text: str) -> bytes:
    protocol.send_text(text.encode())
    return b"".join(protocol.data_to_send())


def _uplink(codec: WebSocketCodec) -> Callable[[], object]:
    link = Uplink(codec, CARRIER, TWILIO)
    link.connect(TO_PROVIDER, OPENAI)
    return lambda: link.feed(FROM_PHONE, 1.0)


def _uplink_in_python(carrier: Protocol, provider: Protocol) -> Callable[[], object]:
    converter = StreamConverter(TWILIO, OPENAI)

    def work() -> object:
        (message,) = _read(carrier, FROM_PHONE)
        told = from_json(message)
        media = told["media"]
        if told["event"] != "media" or told["streamSid"] != SID or media["track"] != "inbound":
            return None
        made = converter.convert(a2b_base64(media["payload"], strict_mode=True))
        audio = b2a_base64(made, newline=False).decode("ascii")
        return _write(provider, f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')

    return work


def _downlink(codec: WebSocketCodec) -> Callable[[], object]:
    link = Downlink(TO_CARRIER, TWILIO, mark=MARK)
    link.connect(codec, PROVIDER, OPENAI)
    link.admit("resp_1", "item_1")
    now = 0.0

    def work() -> object:
        nonlocal now
        now += 0.02
        if now % 1 < 0.02:
            link.take_log()
        return link.feed(FROM_MODEL, now)

    return work


def _downlink_in_python(carrier: Protocol, provider: Protocol) -> Callable[[], object]:
    converter = StreamConverter(OPENAI, TWILIO)

    def work() -> object:
        (message,) = _read(provider, FROM_MODEL)
        told = from_json(message)
        if told["type"] != "response.output_audio.delta" or told["item_id"] != "item_1":
            return None
        made = converter.convert(a2b_base64(told["delta"], strict_mode=True))
        audio = b2a_base64(made, newline=False).decode("ascii")
        return _write(carrier, f'{{"event":"media","streamSid":"{SID}","media":{{"payload":"{audio}"}}}}')

    return work


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.frames", description=__doc__)
    parser.add_argument("--rounds", type=int, default=51, help="how often each piece's turn comes (%(default)s)")
    options = parser.parse_args()
    print("| piece | core, µs | Python with `websockets`, µs | times as fast |\n|---|--:|--:|--:|")
    for name, ours, theirs, ratio in measure(options.rounds):
        print(f"| {name} | {ours / 1000:.2f} | {theirs / 1000:.2f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
