"""Nova's side of a session, `/v1/listen`: interim and final results by the time of the audio."""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import uuid4

import anyio

from trunkline.audio import AudioFormat
from trunkline.errors import TransportError
from trunkline.testing.deepgram.messages import DeepgramCodec, audio_format_of
from trunkline.testing.line import Line
from trunkline.testing.spoken_words import Began, Ended, Moment, SpokenWords, Words
from trunkline.testing.vendor_simulator import Query, VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route, Upgrade

QUIET_LIMIT = 10.0
"""Seconds without audio or `KeepAlive` after which the session ends."""
_NET_0001 = (
    "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"
)
_FLAGS = (
    "interim_results",
    "vad_events",
    "smart_format",
    "no_delay",
    "punctuate",
    "numerals",
    "profanity_filter",
    "filler_words",
    "dictation",
    "diarize",
    "multichannel",
    "detect_entities",
    "mip_opt_out",
)
_LANGUAGE = re.compile(r"multi|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("GET", "/v1/listen", partial(_open, simulator))]


async def _open(simulator: VendorSimulator, request: Request) -> Response | Upgrade:
    query = query_of(request)
    audio_format = audio_format_of(query)
    wrong = _wrong(query)
    if isinstance(audio_format, str) or wrong:
        reason = wrong or str(audio_format)
        return simulator.manners.refusal(400, "Bad Request", reason)
    return simulator.upgrade(DeepgramCodec(), lambda line: ListenSession(simulator, line, query, audio_format).run())


def _wrong(query: Query) -> str:
    """What is wrong with an address; "" if nothing is."""
    model = one(query, "model", "base")
    if model.startswith("flux"):
        return f"model {model} is not available on /v1/listen, use /v2/listen"
    if not _LANGUAGE.fullmatch(one(query, "language", "en")):
        return f"unsupported language {one(query, 'language')}"
    if model.startswith("nova-3") and "keywords" in query:
        return "keywords are not supported for nova-3, use keyterm"
    for name in _FLAGS:
        if one(query, name, "false") not in {"true", "false"}:
            return f"{name} must be true or false"
    for name in ("endpointing", "utterance_end_ms"):
        if name in query and not one(query, name).isdecimal() and one(query, name) != "false":
            return f"{name} must be a number"
    if "utterance_end_ms" in query and one(query, "interim_results") != "true":
        return "utterance_end_ms needs interim_results"
    return ""


class ListenSession:
    """One session as the service has it."""

    def __init__(self, simulator: VendorSimulator, line: Line, query: Query, audio_format: AudioFormat) -> None:
        self._clock = simulator.clock
        self._line = line
        self._query = query
        endpointing = one(query, "endpointing", "10")
        silence_ms = None if endpointing == "false" else int(endpointing)
        self._words = SpokenWords(simulator.brain, simulator.transcripts, audio_format, silence_ms)
        self._model = one(query, "model", "base")
        self._request_id = str(uuid4())
        self._stretch = 0  # where it begins, in milliseconds of audio
        self._utterance_end: tuple[int, int] | None = None  # when it is told, and the last word's end

    async def run(self) -> None:
        """Serve it until either side ends it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._line.write)
            try:
                await self._listen()
            except TransportError:
                tasks.cancel_scope.cancel()

    async def _listen(self) -> None:
        while True:
            event: dict[str, Any] | None = None
            with self._clock.move_on_after(QUIET_LIMIT):
                event = await self._line.receive()
            if event is None:
                self._line.hang_up(1011, _NET_0001)
                return
            match event["type"] if isinstance(event.get("type"), str) else "":
                case "audio" if event["audio"]:
                    for moment in await self._words.feed(event["audio"]):
                        self._tell(moment)
                    self._tell_gap()
                case "KeepAlive":
                    pass
                case "Finalize":
                    await self._finish(from_finalize=True)
                case "Configure":
                    self._configure(event)
                case "audio" | "CloseStream":  # an empty message is the older way to end
                    await self._close()
                    return
                case _:
                    self._line.put({"type": "Error", "variant": "SchemaError", "description": "unknown message type"})
                    self._line.hang_up(1008, "unknown message type")
                    return

    def _tell(self, moment: Moment) -> None:
        match moment:
            case Began(at_ms):
                if one(self._query, "vad_events") == "true":
                    self._line.put({"type": "SpeechStarted", "channel": [0, 1], "timestamp": at_ms / 1000})
            case Words(text, at_ms):
                if one(self._query, "interim_results") == "true":
                    self._results(text, at_ms)
            case Ended(text, start_ms, end_ms, at_ms):
                self._results(text, at_ms, is_final=True, speech_final=True, spoken=(start_ms, end_ms))
                if text and "utterance_end_ms" in self._query:
                    self._utterance_end = end_ms + int(one(self._query, "utterance_end_ms")), end_ms

    def _tell_gap(self) -> None:
        if self._utterance_end is not None and self._words.at_ms >= self._utterance_end[0]:
            last_word_end = self._utterance_end[1] / 1000
            self._line.put({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last_word_end})
            self._utterance_end = None

    async def _finish(self, *, from_finalize: bool = False) -> None:
        if not self._words.at_ms:
            return
        ended = await self._words.finish()
        spoken = (ended.start_ms, ended.end_ms) if ended is not None else None
        text = ended.text if ended is not None else ""
        self._results(text, self._words.at_ms, is_final=True, from_finalize=from_finalize, spoken=spoken)

    async def _close(self) -> None:
        await self._finish()
        self._line.put(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self._request_id,
                "sha256": "0" * 64,
                "created": self._clock.wall().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "duration": self._words.at_ms / 1000,
                "channels": 1,
            }
        )
        self._line.hang_up(1000, "")

    def _configure(self, event: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"request_id": self._request_id}
        if self._model.startswith("nova-3"):
            self._line.put(answer | {"type": "ConfigureSuccess", "keyterms": event.get("keyterms", [])})
        else:
            code = "CONFIGURE_KEYTERMS_NOT_SUPPORTED"
            self._line.put(answer | {"type": "ConfigureFailure", "code": code, "description": "not with this model"})

    def _results(
        self,
        text: str,
        at_ms: int,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
        spoken: tuple[int, int] | None = None,
    ) -> None:
        start = self._stretch
        first, last = spoken or (start, at_ms)
        self._line.put(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": (at_ms - start) / 1000,
                "start": start / 1000,
                "is_final": is_final,
                "speech_final": speech_final,
                "from_finalize": from_finalize,
                "channel": {
                    "alternatives": [
                        {"transcript": text, "confidence": 0.98 if text else 0.0, "words": spread(text, first, last)}
                    ]
                },
                "metadata": {
                    "request_id": self._request_id,
                    "model_uuid": str(uuid4()),
                    "model_info": {"name": self._model, "version": "2026-01-01.0", "arch": self._model},
                },
            }
        )
        if is_final:
            self._stretch = at_ms


def spread(text: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """The words of a text, evenly over the time in which they were said."""
    words = text.split()
    each = (end_ms - start_ms) / 1000 / len(words) if words else 0.0
    return [
        {
            "word": word,
            "start": round(start_ms / 1000 + position * each, 3),
            "end": round(start_ms / 1000 + (position + 1) * each, 3),
            "confidence": 0.98,
        }
        for position, word in enumerate(words)
    ]
