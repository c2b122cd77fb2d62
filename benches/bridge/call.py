"""One simulated call: a caller on Twilio's side, a voice on the vendor's side, and when what passed where.

Every three seconds the vendor gives an answer of four seconds of audio, five times as fast as it is heard, and tells half-way through the
second one that the caller speaks. The caller sends a frame every 20 ms all the time and returns marks when they would have been played.
"""

import base64
import json
import os
import re
import socket
import time
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from benches.bridge.wire import Wire

FRAME_S: Final = 0.02
PERIOD_S: Final = 3.0
INTERRUPT_AFTER_S: Final = 1.5
SPEECH_S: Final = 0.5
DELTA_MS: Final = 200
DELTAS: Final = 20
DELTA_EVERY_S: Final = 0.04
APPEND: Final = b'{"type":"input_audio_buffer.append","audio":"'
VOICE: Final = base64.b64encode(os.urandom(160)).decode()

Later = Callable[[float, Callable[[float], None]], None]


@dataclass(slots=True)
class Seen:
    """Milliseconds from a message at one socket to what follows from it at the other."""

    uplink: list[float] = field(default_factory=list)
    downlink: list[float] = field(default_factory=list)
    clear: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


class Call:
    """A call that is set up; `begin` starts its clockwork.

    Args:
        number: Which one.
        gateway: The gateway's address.
        vendor: Where the gateway dials the vendor.
        pcm: The vendor insists on 24 kHz PCM, so that the gateway converts both ways; else it takes and gives µ-law.
        later: Calls back at a moment.
        seen: Where what is seen goes.
    """

    def __init__(
        self, number: int, *, gateway: str, vendor: socket.socket, pcm: bool, later: Later, seen: Seen
    ) -> None:
        self._later = later
        self._seen = seen
        self._stream = f"MZ{number:032x}"
        self._sequence = 1
        self._frame_bytes = 960 if pcm else 160
        audio = os.urandom(self._frame_bytes * DELTA_MS // 20)
        self._delta = base64.b64encode(audio).decode()
        self._left: deque[float] = deque()
        self._sent = self._arrived = self._appended = 0
        self._played_until = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        self._answers = 0
        self._deltas = DELTAS
        self._answered_at = self._spoke_at = 0.0
        self.caller = Wire.dial(_media_url(gateway, f"CA{number:032x}"))
        self._start(f"CA{number:032x}")
        self.vendor = Wire.answer(vendor)
        self._set_up(pcm=pcm)

    def begin(self, now: float, *, phase: float) -> None:
        """Let it run; `phase` from 0 to 1 spreads the calls over the period and their frames over 20 ms."""
        self._later(now + phase * FRAME_S, self._speak)
        self._later(now + phase * PERIOD_S, self._answer)

    def close(self) -> None:
        self.caller.close()
        self.vendor.close()

    # ── the caller ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, call_sid: str) -> None:
        self.caller.send(b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
        start = {
            "accountSid": "AC0",
            "streamSid": self._stream,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        told = {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self._stream}
        self.caller.send(json.dumps(told).encode())

    def _speak(self, due: float) -> None:
        self._later(due + FRAME_S, self._speak)
        self._seen.late.append((time.monotonic() - due) * 1000)
        while self._marks and self._marks[0][0] <= due:
            self._return_mark(self._marks.popleft()[1])
        self._sequence += 1
        message = (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound","chunk":"{self._sent + 1}",'
            f'"timestamp":"{self._sent * 20}","payload":"{VOICE}"}},"streamSid":"{self._stream}"}}'
        ).encode()
        self._sent += 1
        self._left.append(time.monotonic())
        self.caller.send(message)

    def hear(self, now: float) -> None:
        """The caller's socket can be read."""
        for message in self.caller.receive():
            told = json.loads(message)
            match told["event"]:
                case "media":
                    self._hear_audio(told["media"]["payload"], now)
                case "mark":
                    self._marks.append((max(now, self._played_until), told["mark"]["name"]))
                case "clear":
                    self._cleared(now)

    def _hear_audio(self, payload: str, now: float) -> None:
        if self._answered_at:
            self._seen.downlink.append((now - self._answered_at) * 1000)
            self._answered_at = 0.0
        self._played_until = max(now, self._played_until) + len(payload) * 3 // 4 / 8000

    def _cleared(self, now: float) -> None:
        if self._spoke_at:
            self._seen.clear.append((now - self._spoke_at) * 1000)
            self._spoke_at = 0.0
        self._played_until = now
        while self._marks:
            self._return_mark(self._marks.popleft()[1])

    def _return_mark(self, name: str) -> None:
        self._sequence += 1
        told = {
            "event": "mark",
            "sequenceNumber": str(self._sequence),
            "streamSid": self._stream,
            "mark": {"name": name},
        }
        self.caller.send(json.dumps(told).encode())

    # ── the vendor ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_up(self, *, pcm: bool) -> None:
        session: dict[str, Any] = {"type": "realtime", "id": "sess_1", "object": "realtime.session", "model": "bench"}
        self._tell("session.created", session=session)
        asked = json.loads(self.vendor.receive_one())["session"]
        if pcm:
            for side in ("input", "output"):
                asked["audio"][side]["format"] = {"type": "audio/pcm", "rate": 24_000}
        self._tell("session.updated", session=session | asked)

    def listen(self, now: float) -> None:
        """The vendor's socket can be read."""
        for message in self.vendor.receive():
            if not message.startswith(APPEND):
                continue
            encoded = len(message) - len(APPEND) - 2
            self._appended += encoded // 4 * 3 - message[-4:-2].count(b"=")
            arrived = -(-self._appended // self._frame_bytes)  # a converter keeps a little of the last one back
            for _ in range(arrived - self._arrived):
                self._seen.uplink.append((now - self._left.popleft()) * 1000)
            self._arrived = arrived

    def _answer(self, due: float) -> None:
        self._answers += 1
        self._later(due + PERIOD_S, self._answer)
        self._later(due + INTERRUPT_AFTER_S, self._interrupt)
        response, item = self._ids()
        self._tell(
            "response.created", response={"id": response, "object": "realtime.response", "status": "in_progress"}
        )
        about = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant", "content": []}
        self._tell("response.output_item.added", response_id=response, output_index=0, item=about)
        self._deltas = 0
        self._answered_at = time.monotonic()
        self._speak_on(due)

    def _speak_on(self, due: float) -> None:
        if self._deltas >= DELTAS:
            return
        self._deltas += 1
        self._later(due + DELTA_EVERY_S, self._speak_on)
        response, item = self._ids()
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        self._tell("response.output_audio_transcript.delta", **where, delta="word ")
        self._tell("response.output_audio.delta", **where, delta=self._delta)

    def _interrupt(self, due: float) -> None:
        response, _ = self._ids()
        user = f"item_user_{self._answers}"
        self._spoke_at = time.monotonic()
        self._tell("input_audio_buffer.speech_started", item_id=user, audio_start_ms=self._arrived * 20)
        done = {"id": response, "object": "realtime.response", "status": "cancelled", "output": []}
        self._tell("response.done", response=done)
        self._later(due + SPEECH_S, self._fall_silent)

    def _fall_silent(self, _: float) -> None:
        user = f"item_user_{self._answers}"
        self._tell("input_audio_buffer.speech_stopped", item_id=user, audio_end_ms=self._arrived * 20)
        self._tell("input_audio_buffer.committed", item_id=user, previous_item_id=None)

    def _ids(self) -> tuple[str, str]:
        return f"resp_{self._answers}", f"item_agent_{self._answers}"

    def _tell(self, kind: str, **members: Any) -> None:
        self.vendor.send(json.dumps({"type": kind, "event_id": "event_1", **members}).encode())


def _media_url(gateway: str, call_sid: str) -> str:
    fields = {"CallSid": call_sid, "AccountSid": "AC0", "From": "+15550001", "To": "+15550002"}
    body = urllib.parse.urlencode(fields).encode()
    with urllib.request.urlopen(f"{gateway}/voice/inbound", body, timeout=10) as answer:
        found = re.search(r'<Stream url="([^"]+)"', answer.read().decode())
    if found is None:
        raise ConnectionError("the call was refused")
    return found[1]
