"""Flux's side of a session, `/v2/listen`: turns, by the time of the audio.

A turn is over after 300 ms of silence, as the model would judge most of them; with `eot_threshold=1.0` after `eot_timeout_ms`.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import uuid4

import anyio

from trunkline.audio import AudioFormat
from trunkline.errors import TransportError
from trunkline.testing.deepgram.listen import spread
from trunkline.testing.deepgram.messages import DeepgramCodec, audio_format_of
from trunkline.testing.line import Line
from trunkline.testing.spoken_words import Began, Ended, Moment, Paused, SpokenWords, Words
from trunkline.testing.vendor_simulator import Query, VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route, Upgrade

QUIET_LIMIT = 60.0
"""Seconds without a message after which the session ends."""
TURN_END_MS = 300

_KNOWN = {
    *[
        "model",
        "encoding",
        "sample_rate",
        "eot_threshold",
        "eager_eot_threshold",
        "eot_timeout_ms",
        "keyterm",
        "language_hint",
        "numerals",
    ],
    *["profanity_filter", "redact", "tag", "mip_opt_out"],
}


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("GET", "/v2/listen", partial(_open, simulator))]


async def _open(simulator: VendorSimulator, request: Request) -> Response | Upgrade:
    query = query_of(request)
    audio_format = audio_format_of(query)
    wrong = _wrong(query)
    if isinstance(audio_format, str) or wrong:
        return simulator.manners.refusal(400, "Bad Request", wrong or str(audio_format))
    return simulator.upgrade(DeepgramCodec(), lambda line: FluxSession(simulator, line, query, audio_format).run())


def _wrong(query: Query) -> str:
    """What is wrong with an address; "" if nothing is."""
    model = one(query, "model")
    if not model.startswith("flux-"):
        return f"model {model!r} is not available on /v2/listen"
    if unknown := sorted(set(query) - _KNOWN):
        return f"unknown parameter {unknown[0]}"
    if "language_hint" in query and model != "flux-general-multi":
        return "language_hint is for flux-general-multi only"
    try:
        sure = float(one(query, "eot_threshold", "0.7"))
        eager = float(one(query, "eager_eot_threshold", "0.3"))
        timeout_ms = int(one(query, "eot_timeout_ms", "5000"))
    except ValueError:
        return "a threshold is not a number"
    if not (0.5 <= sure <= 1.0 and 0.3 <= eager <= min(0.9, sure) and 500 <= timeout_ms <= 60_000):
        return "a threshold is out of its bounds"
    return ""


class FluxSession:
    """One session as the service has it."""

    def __init__(self, simulator: VendorSimulator, line: Line, query: Query, audio_format: AudioFormat) -> None:
        self._clock = simulator.clock
        self._line = line
        self._eager = "eager_eot_threshold" in query
        timeout_ms = int(one(query, "eot_timeout_ms", "5000"))
        by_model = float(one(query, "eot_threshold", "0.7")) < 1.0
        self._trigger = "model" if by_model else "timeout"
        silence_ms = min(TURN_END_MS, timeout_ms) if by_model else timeout_ms
        self._words = SpokenWords(simulator.brain, simulator.transcripts, audio_format, silence_ms)
        self._request_id = str(uuid4())
        self._sequence = 0
        self._turn = 0
        self._turn_start = 0
        self._in_turn = False
        self._eager_text: str | None = None

    async def run(self) -> None:
        """Serve it until either side ends it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._line.write)
            try:
                self._put({"type": "Connected"})
                await self._listen()
            except TransportError:
                tasks.cancel_scope.cancel()

    async def _listen(self) -> None:
        while True:
            event: dict[str, Any] | None = None
            with self._clock.move_on_after(QUIET_LIMIT):
                event = await self._line.receive()
            if event is None:
                self._line.hang_up(1011, "NET-0001")
                return
            match event["type"] if isinstance(event.get("type"), str) else "":
                case "audio":
                    for moment in await self._words.feed(event["audio"]):
                        self._tell(moment)
                case "ForceEndTurn":
                    ended = await self._words.finish()
                    if ended is not None:
                        self._end(ended, "manual")
                case "Configure":
                    self._put({"type": "ConfigureSuccess", "thresholds": event.get("thresholds", {}), "keyterms": []})
                case "CloseStream":
                    ended = await self._words.finish()
                    if ended is not None:
                        self._end(ended, "manual")
                    self._line.hang_up(1000, "")
                    return
                case _:
                    description = "Could not parse the client message."
                    self._put({"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": description})
                    self._line.hang_up(1008, description)
                    return

    def _tell(self, moment: Moment) -> None:
        match moment:
            case Began(at_ms):
                self._turn_start = at_ms
            case Words(text, at_ms, resumed):
                if resumed and self._eager_text is not None:
                    self._eager_text = None
                    self._info("TurnResumed", text, at_ms, sure=0.1)
                else:
                    self._info("Update" if self._in_turn else "StartOfTurn", text, at_ms, sure=0.1)
                self._in_turn = True
            case Paused(text, at_ms):
                if not self._in_turn:
                    self._in_turn = True
                    self._info("StartOfTurn", text, at_ms, sure=0.1)
                if self._eager:
                    self._eager_text = text
                    self._info("EagerEndOfTurn", text, at_ms, sure=0.5)
            case Ended():
                self._end(moment, self._trigger)

    def _end(self, ended: Ended, trigger: str) -> None:
        if ended.text and not self._in_turn:
            self._info("StartOfTurn", ended.text, ended.at_ms, sure=0.1)
        if self._eager_text not in {None, ended.text}:  # what is taken for the end is told before it is the end
            self._info("TurnResumed", ended.text, ended.at_ms, sure=0.1)
            self._info("EagerEndOfTurn", ended.text, ended.at_ms, sure=0.5)
        if ended.text or self._in_turn:
            self._info("EndOfTurn", ended.text, ended.at_ms, sure=0.9, trigger=trigger)
            self._turn += 1
        self._in_turn, self._eager_text = False, None

    def _info(self, event: str, text: str, at_ms: int, *, sure: float, trigger: str | None = None) -> None:
        words = spread(text, self._turn_start, at_ms)
        info = {
            "type": "TurnInfo",
            "event": event,
            "turn_index": self._turn,
            "audio_window_start": self._turn_start / 1000,
            "audio_window_end": at_ms / 1000,
            "transcript": text,
            "words": words,
            "end_of_turn_confidence": sure,
        }
        self._put(info if trigger is None else info | {"trigger": trigger})

    def _put(self, message: dict[str, Any]) -> None:
        self._line.put({**message, "request_id": self._request_id, "sequence_id": self._sequence})
        self._sequence += 1
