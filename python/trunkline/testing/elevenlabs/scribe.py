"""Scribe for whole utterances, `POST /v1/speech-to-text`."""

import json
from collections.abc import Iterable
from functools import partial
from uuid import uuid4

from trunkline.audio import AudioFormat, wav
from trunkline.errors import AudioError
from trunkline.testing.multipart import FormPart, field, form_parts
from trunkline.testing.understanding import understood
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

_MODELS = {"scribe_v1", "scribe_v2", "scribe_v3", "scribe_v2_medical"}
_RAW = AudioFormat("linear16", 16_000)
_SHORTEST_MS = 100
_FIELDS = {
    "model_id",
    "file",
    "source_url",
    "cloud_storage_url",
    "language_code",
    "tag_audio_events",
    "timestamps_granularity",
    "diarize",
    "num_speakers",
    "diarization_threshold",
    "file_format",
    "temperature",
    "seed",
    "use_multi_channel",
    "keyterms",
    "no_verbatim",
    "entity_detection",
    "entity_redaction",
    "additional_formats",
    "webhook",
    "webhook_id",
    "webhook_metadata",
}


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("POST", "/v1/speech-to-text", partial(_transcribe, simulator))]


async def _transcribe(simulator: VendorSimulator, request: Request) -> Response:
    parts = form_parts(request.headers.get("content-type", ""), request.body)
    simulator.received.append({part.name: part.text for part in parts if part.filename is None})
    model = field(parts, "model_id")
    unknown = sorted({part.name.removesuffix("[]") for part in parts} - _FIELDS)
    if unknown or model not in _MODELS:
        wrong = f"unknown field {unknown[0]}" if unknown else f"unknown model {model!r}"
        return simulator.manners.refusal(400, "invalid_parameters", wrong)
    try:
        audio_format, audio = _audio(parts)
    except (AudioError, LookupError):
        return simulator.manners.refusal(400, "invalid_audio", "The file holds no audio that can be read.")
    seconds = audio_format.duration_ms(len(audio)) / 1000
    if seconds * 1000 < _SHORTEST_MS:
        return simulator.manners.refusal(400, "audio_too_short", "The audio is shorter than 100 ms.")
    text = await understood(simulator, audio, audio_format)
    answer = {
        "language_code": field(parts, "language_code", "eng"),
        "language_probability": 0.98,
        "text": text,
        "words": _words(text, seconds) if field(parts, "timestamps_granularity", "word") != "none" else [],
        "transcription_id": uuid4().hex,
        "audio_duration_secs": round(seconds, 3),
    }
    return Response(200, json.dumps(answer), media_type="application/json")


def _audio(parts: list[FormPart]) -> tuple[AudioFormat, bytes]:
    file = next(part for part in [*parts, None] if part is None or part.filename is not None)
    if file is None:
        raise LookupError("file")
    if field(parts, "file_format", "other") == "pcm_s16le_16":
        return _RAW, file.content[: len(file.content) // 2 * 2]
    return wav.parse(file.content)


def _words(text: str, seconds: float) -> list[dict[str, object]]:
    words = text.split()
    each = seconds / len(words) if words else 0.0
    told: list[dict[str, object]] = []
    for position, word in enumerate(words):
        start, end = round(position * each, 3), round((position + 1) * each, 3)
        if told:
            told.append({"text": " ", "start": start, "end": start, "type": "spacing", "logprob": 0.0})
        told.append({"text": word, "start": start, "end": end, "type": "word", "logprob": -0.02})
    return told
