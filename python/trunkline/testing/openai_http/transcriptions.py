"""Transcription of whole utterances, `POST /v1/audio/transcriptions`."""

import json
from collections.abc import Iterable
from functools import partial
from typing import Any

from trunkline.audio import wav
from trunkline.errors import AudioError
from trunkline.testing.multipart import FormPart, field, form_parts
from trunkline.testing.understanding import understood
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

_MODELS = {"gpt-transcribe", "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"}
_EXTENSIONS = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"}
_FORMATS = {"json", "text", "srt", "vtt", "verbose_json", "diarized_json"}
_ANY_MODEL = {"json"}
_LARGEST = 25 * 2**20
_SHORTEST_MS = 100
_FIELDS = {
    "file",
    "model",
    "language",
    "languages",
    "keywords",
    "prompt",
    "response_format",
    "temperature",
    "timestamp_granularities",
    "include",
    "chunking_strategy",
    "known_speaker_names",
    "known_speaker_references",
    "stream",
}


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("POST", "/v1/audio/transcriptions", partial(_transcribe, simulator))]


async def _transcribe(simulator: VendorSimulator, request: Request) -> Response:
    parts = form_parts(request.headers.get("content-type", ""), request.body)
    simulator.received.append({part.name: part.text for part in parts if part.filename is None})
    model, wanted = field(parts, "model"), field(parts, "response_format", "json")
    file = next((part for part in parts if part.name == "file" and part.filename is not None), None)
    code, message = _wrong(parts, model, wanted, file)
    if message or file is None:
        return simulator.manners.refusal(404 if code == "model_not_found" else 400, code, message)
    try:
        audio_format, audio = wav.parse(file.content)
    except AudioError:
        return simulator.manners.refusal(400, "invalid_value", "Audio file might be corrupted or unsupported")
    seconds = audio_format.duration_ms(len(audio)) / 1000
    if seconds * 1000 < _SHORTEST_MS:
        return simulator.manners.refusal(400, "audio_too_short", "Audio file is too short. Minimum is 0.1 seconds.")
    text = await understood(simulator, audio, audio_format)
    if wanted == "text":
        return Response(200, f"{text}\n")
    usage = {"type": "duration", "seconds": max(1, round(seconds))}
    if field(parts, "stream") == "true" and model != "whisper-1":
        return _streamed(text, usage)
    answer: dict[str, Any] = {"text": text, "usage": usage}
    if wanted == "verbose_json":
        answer |= {"task": "transcribe", "language": "english", "duration": seconds, "segments": [], "words": []}
    return Response(200, json.dumps(answer), media_type="application/json")


def _wrong(parts: list[FormPart], model: str, wanted: str, file: FormPart | None) -> tuple[str, str]:
    """Code and sentence of what is wrong with a request; two empty ones if nothing is."""
    unknown = sorted({part.name.removesuffix("[]") for part in parts} - _FIELDS)
    if unknown:
        return "unknown_parameter", f"Unknown parameter: '{unknown[0]}'."
    if file is None:
        return "missing_required_parameter", "Missing required parameter: 'file'."
    if (file.filename or "").rpartition(".")[2].lower() not in _EXTENSIONS:
        return "invalid_value", "Unrecognized file format."
    if len(file.content) > _LARGEST:
        return "file_too_large", "Maximum content size limit (26214400) exceeded."
    if model not in _MODELS:
        return "model_not_found", f"The model `{model}` does not exist or you do not have access to it."
    names = {part.name for part in parts}
    if names & {"languages[]", "keywords[]"} and model != "gpt-transcribe":
        return "unsupported_parameter", f"languages and keywords are not supported with {model}."
    if wanted not in (_FORMATS if model == "whisper-1" else _ANY_MODEL | {"text"}):
        return "unsupported_value", f"response_format '{wanted}' is not compatible with model '{model}'."
    return "", ""


def _streamed(text: str, usage: dict[str, Any]) -> Response:
    """The answer as server-sent events: a delta for each word, and all of it."""
    words = text.split()
    events: list[dict[str, Any]] = [
        {"type": "transcript.text.delta", "delta": word if position == 0 else f" {word}"}
        for position, word in enumerate(words)
    ]
    events.append({"type": "transcript.text.done", "text": text, "usage": usage})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Response(200, body, media_type="text/event-stream")
