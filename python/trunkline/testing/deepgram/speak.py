"""Aura over HTTP, `/v1/speak`: a text, and its audio as it is made."""

import json
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from trunkline.audio import AudioFormat, wav
from trunkline.errors import AudioError
from trunkline.testing.invented_speech import body_of, uneven
from trunkline.testing.vendor_simulator import Query, VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route

LONGEST: Final = 2000
_KNOWN = frozenset(
    {"model", "encoding", "container", "sample_rate", "speed", "tag", "mip_opt_out", "bit_rate", "callback"}
)


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("POST", "/v1/speak", partial(_speak, simulator))]


async def _speak(simulator: VendorSimulator, request: Request) -> Response:
    query = query_of(request)
    audio_format = speech_format_of(query)
    if isinstance(audio_format, str):
        return simulator.manners.refusal(400, "INVALID_QUERY_PARAMETER", audio_format)
    text = _text(request.body)
    if not text:
        return simulator.manners.refusal(400, "INVALID_JSON", "Invalid JSON submitted, or an empty text.")
    if len(text) > LONGEST:
        return simulator.manners.refusal(413, "BIG-0001", "The text is longer than 2000 characters.")
    voice = simulator.voice
    voice.spoken.append(text)
    audio = voice.speak(text, audio_format)
    if one(query, "container", "wav") != "none":
        audio = wav.encode(audio_format, audio)
    pieces = ((piece, audio_format.duration_ms(len(piece))) for piece in uneven(audio))
    headers = [
        ("dg-request-id", "00000000-0000-4000-8000-000000000000"),
        ("dg-model-name", one(query, "model", "aura-asteria-en")),
        ("dg-char-count", str(len(text))),
    ]
    body = body_of(pieces, voice, simulator.due, simulator.clock)
    return Response(200, body, headers=headers, media_type="audio/basic")


def speech_format_of(query: Query) -> AudioFormat | str:
    """The format that was asked for; or why it is not made, or what else is wrong with the address."""
    if unknown := sorted(set(query) - _KNOWN):
        return f"unknown parameter {unknown[0]}"
    model = one(query, "model", "aura-asteria-en")
    if not model.startswith("aura-"):
        return f"the model {model!r} does not exist"
    encoding = one(query, "encoding", "linear16")
    rate = one(query, "sample_rate", "24000" if encoding == "linear16" else "8000")
    try:
        audio_format = AudioFormat(encoding, int(rate))
        speed = float(one(query, "speed", "1"))
    except (AudioError, ValueError):
        return "unsupported encoding, sample_rate or speed"
    if encoding != "linear16" and audio_format.sample_rate not in {8_000, 16_000}:
        return "unsupported sample_rate"
    return audio_format if 0.7 <= speed <= 1.5 else "speed must lie between 0.7 and 1.5"


def _text(body: bytes) -> str:
    try:
        asked: Any = json.loads(body)
    except ValueError:
        return ""
    text = asked.get("text") if isinstance(asked, dict) else None
    return text if isinstance(text, str) else ""
