"""Scribe as the caller speaks, `/v1/speech-to-text/realtime`: cumulative partials, and commits.

Where the service's limits are not published, these are ours: 15 s without a message, one message of 1 MiB, and 10 commits in 5 s.
"""

import binascii
import json
from base64 import b64decode
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import anyio

from trunkline.audio import AudioFormat
from trunkline.errors import TransportError
from trunkline.testing.faults import Fault
from trunkline.testing.line import Line
from trunkline.testing.spoken_words import Ended, SpokenWords, Words
from trunkline.testing.vendor_simulator import Query, SendEvent, VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route, Upgrade

QUIET_LIMIT = 15.0
LARGEST_CHUNK = 2**20
MOST_COMMITS, COMMITS_WITHIN = 10, 5.0

_MODELS = {"scribe_v2_realtime", "scribe_v3_live"}
_SHORTEST_COMMIT_MS = 300
_AUTO_COMMIT_MS = 90_000
_PATH = "/v1/speech-to-text/realtime"


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("GET", _PATH, partial(_open, simulator))]


class ScribeEvents:
    """JSON text with a `message_type` (`trunkline.testing.line.Codec`)."""

    def kind(self, event: Mapping[str, Any]) -> str:
        """The event's type; "commit" for a chunk that commits."""
        return "commit" if event.get("commit") is True else str(event.get("message_type"))

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event itself."""
        return [dict(event)]

    def encode(self, event: Mapping[str, Any]) -> str:
        """The event as text."""
        return json.dumps(event)

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """The object in a text; an empty one for anything else."""
        try:
            event = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            event = None
        return event if isinstance(event, dict) else {}

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event itself."""
        return event

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """What a `SendEvent` holds."""
        return [fault.event] if isinstance(fault, SendEvent) else []


async def _open(simulator: VendorSimulator, request: Request) -> Response | Upgrade:
    query = query_of(request)
    model, spoken = one(query, "model_id"), one(query, "language_code")
    terms = query.get("keyterms", [])
    audio = one(query, "audio_format", "pcm_16000")
    encoding, _, rate = audio.partition("_")
    wrong = ""
    if model not in _MODELS:
        wrong = f"unknown model {model!r}"
    elif spoken and not (spoken.isalpha() and len(spoken) in {2, 3}):
        wrong = f"unsupported language {spoken!r}"
    elif len(terms) > 50 or any(len(term) > 20 for term in terms):
        wrong = "at most 50 keyterms of 20 characters"
    elif encoding not in {"pcm", "ulaw"} or not rate.isdecimal() or (encoding == "ulaw" and rate != "8000"):
        wrong = f"unsupported audio format {audio!r}"
    elif one(query, "commit_strategy", "manual") not in {"manual", "vad"}:
        wrong = "unsupported commit strategy"
    if wrong:
        return simulator.manners.refusal(400, "invalid_parameters", wrong)
    audio_format = AudioFormat("mulaw" if encoding == "ulaw" else "linear16", int(rate))
    return simulator.upgrade(ScribeEvents(), lambda line: ScribeSession(simulator, line, query, audio_format).run())


class ScribeSession:
    """One session as the service has it."""

    def __init__(self, simulator: VendorSimulator, line: Line, query: Query, audio_format: AudioFormat) -> None:
        self._clock = simulator.clock
        self._line = line
        self._query = query
        self._format = audio_format
        self._by_silence = one(query, "commit_strategy", "manual") == "vad"
        silence_ms = round(float(one(query, "vad_silence_threshold_secs", "1.5")) * 1000)
        # By hand: pauses cut what is said into pieces that one commit puts together.
        self._words = SpokenWords(
            simulator.brain,
            simulator.transcripts,
            audio_format,
            silence_ms if self._by_silence else 2 * _AUTO_COMMIT_MS,
        )
        self._committed_ms = 0
        self._commits: deque[float] = deque()
        self._is_first = True

    async def run(self) -> None:
        """Serve it until either side ends it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._line.write)
            try:
                self._line.put(self._started())
                await self._listen()
            except TransportError:
                tasks.cancel_scope.cancel()

    def _started(self) -> dict[str, Any]:
        query = self._query
        config = {
            "sample_rate": self._format.sample_rate,
            "audio_format": one(query, "audio_format", "pcm_16000"),
            "language_code": one(query, "language_code") or None,
            "model_id": one(query, "model_id"),
            "commit_strategy": one(query, "commit_strategy", "manual"),
            "vad_silence_threshold_secs": float(one(query, "vad_silence_threshold_secs", "1.5")),
            "vad_threshold": float(one(query, "vad_threshold", "0.4")),
            "min_speech_duration_ms": int(one(query, "min_speech_duration_ms", "100")),
            "min_silence_duration_ms": int(one(query, "min_silence_duration_ms", "100")),
            "include_timestamps": one(query, "include_timestamps", "false") == "true",
        }
        return {"message_type": "session_started", "session_id": uuid4().hex, "config": config}

    async def _listen(self) -> None:
        while True:
            event: dict[str, Any] | None = None
            with self._clock.move_on_after(QUIET_LIMIT):
                event = await self._line.receive()
            if event is None:
                self._fail("insufficient_audio_activity", "No audio was received for a while.")
                return
            if not await self._take(event):
                return

    async def _take(self, event: dict[str, Any]) -> bool:
        """Hear a chunk; whether the session goes on."""
        if event.get("message_type") != "input_audio_chunk" or not isinstance(event.get("audio_base_64"), str):
            return self._fail("input_error", "Not an input_audio_chunk.")
        if event.get("previous_text") is not None and not self._is_first:
            return self._fail("invalid_request", "previous_text may only be sent with the first chunk.")
        if event.get("sample_rate", self._format.sample_rate) != self._format.sample_rate:
            return self._fail("invalid_request", "sample_rate is not that of the audio format.")
        if len(event["audio_base_64"]) > LARGEST_CHUNK:
            return self._fail("chunk_size_exceeded", "The chunk is too large.")
        self._is_first = False
        try:
            audio = b64decode(event["audio_base_64"], validate=True)
        except binascii.Error:
            return self._fail("input_error", "The audio is not base64.")
        for moment in await self._words.feed(audio):
            match moment:
                case Words(text):
                    self._line.put({"message_type": "partial_transcript", "text": text})
                case Ended(text):
                    self._commit(text)
        if self._words.at_ms - self._committed_ms >= _AUTO_COMMIT_MS:
            self._commit(await self._said())
        if event.get("commit") is True:
            return await self._commit_by_hand()
        return True

    async def _said(self) -> str:
        ended = await self._words.finish()
        return "" if ended is None else ended.text

    async def _commit_by_hand(self) -> bool:
        now = self._clock.now()
        self._commits.append(now)
        while self._commits and now - self._commits[0] > COMMITS_WITHIN:
            self._commits.popleft()
        if len(self._commits) > MOST_COMMITS:
            return self._fail("commit_throttled", "Too many commits.")
        if self._words.at_ms - self._committed_ms < _SHORTEST_COMMIT_MS:
            return self._fail("input_error", "Not enough audio since the last commit.")
        self._commit(await self._said())
        return True

    def _commit(self, text: str) -> None:
        self._committed_ms = self._words.at_ms
        self._line.put({"message_type": "committed_transcript", "text": text})
        if one(self._query, "include_timestamps", "false") == "true":
            words = [{"text": word, "start": 0.0, "end": 0.0, "type": "word", "logprob": -0.1} for word in text.split()]
            more = {"language_code": one(self._query, "language_code", "en"), "words": words}
            self._line.put({"message_type": "committed_transcript_with_timestamps", "text": text, **more})

    def _fail(self, kind: str, message: str) -> bool:
        self._line.put({"message_type": kind, "error": message})
        self._line.hang_up(1008, message)
        return False
