"""The front door of a simulated ElevenLabs: keys, refusals, and the list of its interfaces."""

import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain, ScriptedBrain
from trunkline.testing.elevenlabs import scribe, scribe_realtime, speech, speech_socket
from trunkline.testing.invented_speech import Voice
from trunkline.testing.vendor_simulator import VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route

INTERFACES: list[Callable[[VendorSimulator], Iterable[Route]]] = [
    scribe.routes,
    scribe_realtime.routes,
    speech.routes,
    speech_socket.routes,
]
"""Each gives the routes of one interface; a further one is added here."""


class ElevenLabsManners:
    """ElevenLabs' way to refuse: everything under `detail` (`Manners`)."""

    def __init__(self, api_key: str | None, voices: Iterable[str] | None) -> None:
        self._api_key = api_key
        self._voices = None if voices is None else frozenset(voices)

    def refused(self, request: Request) -> Response | None:
        """401 for a missing or wrong key, where a single-use token in the address counts as one; 404 for a voice that does not exist."""
        key = request.headers.get("xi-api-key", "") or one(query_of(request), "token")
        if not key or self._api_key not in {None, key}:
            return self.refusal(401, "invalid_api_key", "Invalid API key")
        voice = request.params.get("voice_id")
        if voice is not None and self._voices is not None and voice not in self._voices:
            return self.refusal(404, "voice_not_found", f"A voice with the voice_id {voice} was not found.")
        return None

    def refusal(self, status: int, code: str | None, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An error over HTTP: with a code the newer form, a list where the code is "validation_error", else a bare text."""
        request_id = uuid4().hex
        detail: object = message
        if code == "validation_error":
            detail = [{"loc": ["body"], "msg": message, "type": "value_error"}]
        elif code is not None:
            kind = "authentication_error" if status == 401 else "validation_error" if status < 500 else "internal_error"
            detail = {"type": kind, "code": code, "message": message, "status": code, "request_id": request_id}
        body = json.dumps({"detail": detail})
        return Response(status, body, headers=[*headers, ("request-id", request_id)], media_type="application/json")


class ElevenLabsSimulator(VendorSimulator):
    """ElevenLabs' service on loopback (`VendorSimulator`): speech to text (Scribe) and text to speech, over HTTP and WebSockets.

        async with ElevenLabsSimulator(transcripts=["when do you open"]) as vendor:
            stt = ElevenLabsSTT(api_key="any", base_url=vendor.url)
            tts = ElevenLabsTTS(api_key="any", base_url=vendor.url)

    It speaks raw formats (`ulaw_8000`, `alaw_8000`, `pcm_*`) and says when each character is heard; `voice.spoken` holds each text that was
    spoken, in order. For faults, messages of its speaking WebSockets are called "audio" and "final", and "text", "flush",
    "close_context" and "close_socket" of the client's.

    Args:
        brain: Hears; by default all that is loud is speech.
        transcripts: What callers say, utterance after utterance; without them the brain understands.
        api_key: The key that is accepted; None for any.
        voices: The ids of the voices that exist; None for any.
        voice: How it speaks.
        clock: See `VendorSimulator`, as for the rest.
        tls: See there.
        port: See there.
    """

    def __init__(
        self,
        *,
        brain: Brain | None = None,
        transcripts: Iterable[str] | None = None,
        api_key: str | None = None,
        voices: Iterable[str] | None = None,
        voice: Voice | None = None,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(
            brain=brain or ScriptedBrain(),
            transcripts=transcripts,
            manners=ElevenLabsManners(api_key, voices),
            interfaces=INTERFACES,
            voice=voice,
            clock=clock,
            tls=tls,
            port=port,
        )
