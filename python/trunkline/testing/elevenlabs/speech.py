"""Text to speech over HTTP: a text, and its audio as it is made."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qs

from trunkline.audio import SAMPLE_RATES, AudioFormat
from trunkline.testing.invented_speech import MS_PER_CHARACTER, Voice, body_of, uneven
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

_FORMAT = re.compile(r"(ulaw|alaw|pcm)_(\d+)")
_ENCODINGS = {"ulaw": "mulaw", "alaw": "alaw", "pcm": "linear16"}
_LONGEST: Final = 40_000
_PER_LINE = 8  # characters that one line of an answer with timestamps holds


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The routes of the interface."""
    speech = _Speech(simulator)
    return [
        Route("POST", "/v1/text-to-speech/{voice_id}", speech.whole),
        Route("POST", "/v1/text-to-speech/{voice_id}/stream", speech.streamed),
        Route("POST", "/v1/text-to-speech/{voice_id}/stream/with-timestamps", speech.timed),
    ]


def audio_format(query: str) -> AudioFormat | None:
    """The format that was asked for; None where it is none that is simulated."""
    named = parse_qs(query).get("output_format", ["mp3_44100_128"])[0]
    found = _FORMAT.fullmatch(named)
    if found is None or int(found[2]) not in SAMPLE_RATES:
        return None
    return AudioFormat(_ENCODINGS[found[1]], int(found[2]))


def aligned(text: str) -> dict[str, Any]:
    """When each character is heard, as WebSockets write it."""
    count = len(text)
    return {
        "chars": list(text),
        "charStartTimesMs": [index * MS_PER_CHARACTER for index in range(count)],
        "charDurationsMs": [MS_PER_CHARACTER] * count,
    }


class _Speech:
    def __init__(self, simulator: VendorSimulator) -> None:
        self._simulator = simulator
        self._voice = simulator.voice

    async def whole(self, request: Request) -> Response:
        """All of the audio at once."""
        asked = self._understood(request)
        if isinstance(asked, Response):
            return asked
        text, wanted = asked
        await self._voice.think(self._simulator.clock)
        return Response(200, self._voice.speak(text, wanted), headers=_headers(text), media_type="audio/basic")

    async def streamed(self, request: Request) -> Response:
        """The audio in pieces of uneven sizes."""
        asked = self._understood(request)
        if isinstance(asked, Response):
            return asked
        text, wanted = asked
        pieces = ((piece, wanted.duration_ms(len(piece))) for piece in uneven(self._voice.speak(text, wanted)))
        return self._answer(text, pieces, "audio/basic")

    async def timed(self, request: Request) -> Response:
        """The audio in lines of JSON, with the times of the characters."""
        asked = self._understood(request)
        if isinstance(asked, Response):
            return asked
        text, wanted = asked
        return self._answer(text, _lines(text, wanted, self._voice), "application/json")

    def _answer(self, text: str, pieces: Iterable[tuple[bytes, float]], media_type: str) -> Response:
        body = body_of(pieces, self._voice, self._simulator.due, self._simulator.clock)
        return Response(200, body, headers=_headers(text), media_type=media_type)

    def _understood(self, request: Request) -> tuple[str, AudioFormat] | Response:
        refusal = self._simulator.manners.refusal
        try:
            body = json.loads(request.body)
        except ValueError:
            return refusal(422, "validation_error", "JSON decode error")
        if not isinstance(body, dict) or not isinstance(body.get("text"), str):
            return refusal(422, "validation_error", "Field required: text")
        if len(body["text"]) > _LONGEST:
            return refusal(400, "max_character_limit_exceeded", "The text is too long.")
        speed = (body.get("voice_settings") or {}).get("speed")
        if speed is not None and not 0.7 <= speed <= 1.2:
            return refusal(400, "invalid_parameters", "speed must lie between 0.7 and 1.2.")
        wanted = audio_format(request.query)
        if wanted is None:
            return refusal(400, "invalid_parameters", "The simulator does not make this output_format.")
        self._voice.spoken.append(body["text"])
        return body["text"], wanted


def _headers(text: str) -> list[tuple[str, str]]:
    return [
        ("request-id", "0123456789abcdef"),
        ("character-cost", str(len(text))),
        ("current-concurrent-requests", "1"),
        ("maximum-concurrent-requests", "10"),
    ]


def _lines(text: str, wanted: AudioFormat, voice: Voice) -> Iterator[tuple[bytes, float]]:
    """Lines, cut where no line ends: who reads them must not take a chunk for a line."""
    written = bytearray()
    for start in range(0, len(text), _PER_LINE):
        part = text[start : start + _PER_LINE]
        alignment = None
        if voice.alignments:
            # Times of the whole answer begin at 0 in each line, as on the WebSockets.
            starts = [index * MS_PER_CHARACTER / 1000 for index in range(len(part))]
            alignment = {
                "characters": list(part),
                "character_start_times_seconds": starts,
                "character_end_times_seconds": [begin + MS_PER_CHARACTER / 1000 for begin in starts],
            }
        audio = b64encode(voice.speak(part, wanted)).decode()
        line = {"audio_base64": audio, "alignment": alignment, "normalized_alignment": alignment}
        written += json.dumps(line).encode() + b"\n"
        cut = len(written) if start + _PER_LINE >= len(text) else len(written) - 7
        yield bytes(written[:cut]), len(part) * MS_PER_CHARACTER
        del written[:cut]
