"""Text to speech: a text, and its audio as it is made."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from trunkline.audio import OPENAI
from trunkline.testing.invented_speech import body_of, uneven
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

LONGEST: Final = 4096
_VOICES = {
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse")
}


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("POST", "/v1/audio/speech", partial(_speak, simulator))]


async def _speak(simulator: VendorSimulator, request: Request) -> Response:
    try:
        body = json.loads(request.body)
    except ValueError:
        return simulator.manners.refusal(400, None, "We could not parse the JSON body of your request.")
    wrong = _wrong(body)
    if wrong is not None:
        param, message = wrong
        code = "model_not_found" if param == "model" else None
        return simulator.manners.refusal(404 if code else 400, code, message)
    voice = simulator.voice
    voice.spoken.append(body["input"])
    audio = voice.speak(body["input"], OPENAI)
    if body.get("stream_format") == "sse":
        pieces, media_type = _events(audio), "text/event-stream"
    else:
        pieces, media_type = ((piece, OPENAI.duration_ms(len(piece))) for piece in uneven(audio)), "audio/pcm"
    return Response(200, body_of(pieces, voice, simulator.due, simulator.clock), media_type=media_type)


def _wrong(body: Any) -> tuple[str, str] | None:
    """What the vendor would refuse: a field and why."""
    if not isinstance(body, Mapping):
        return "body", "The body must be an object."
    for name in ("model", "input", "voice"):
        if not body.get(name):
            return name, f"Missing required parameter: '{name}'."
    model, voice = body["model"], body["voice"]
    custom = isinstance(voice, Mapping) and str(voice.get("id", "")).startswith("voice_")
    problems = [
        ("tts" not in str(model), "model", f"The model `{model}` does not exist."),
        (not custom and voice not in _VOICES, "voice", f"Invalid voice {voice!r}."),
        (len(str(body["input"])) > LONGEST, "input", "String should have at most 4096 characters"),
        (body.get("response_format", "mp3") != "pcm", "response_format", "The simulator makes pcm only."),
        (not 0.25 <= body.get("speed", 1.0) <= 4, "speed", "speed must lie between 0.25 and 4."),
        ("instructions" in body and str(model).startswith("tts-1"), "instructions", "Not with this model."),
    ]
    return next(((param, message) for is_wrong, param, message in problems if is_wrong), None)


def _events(audio: bytes) -> Iterator[tuple[bytes, float]]:
    for piece in uneven(audio):
        delta = {"type": "speech.audio.delta", "audio": b64encode(piece).decode()}
        yield f"data: {json.dumps(delta)}\n\n".encode(), OPENAI.duration_ms(len(piece))
    usage = {"input_tokens": 9, "output_tokens": 40, "total_tokens": 49}
    yield f"data: {json.dumps({'type': 'speech.audio.done', 'usage': usage})}\n\n".encode(), 0.0
