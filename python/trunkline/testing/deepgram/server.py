"""The front door of a simulated Deepgram: keys, refusals, and the list of its interfaces."""

import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain, ScriptedBrain
from trunkline.testing.deepgram import flux, listen, speak, speak_socket
from trunkline.testing.invented_speech import Voice
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

INTERFACES: list[Callable[[VendorSimulator], Iterable[Route]]] = [
    listen.routes,
    flux.routes,
    speak.routes,
    speak_socket.routes,
]
"""Each gives the routes of one interface; a further one is added here."""


class DeepgramManners:
    """Deepgram's way to refuse: `err_code` and `err_msg`, and the reason in a header (`Manners`)."""

    def __init__(self, api_key: str | None, access_token: str | None) -> None:
        self._api_key = api_key
        self._access_token = access_token

    def refused(self, request: Request) -> Response | None:
        """401 for a missing or wrong key, also for a long-lived key after `Bearer`."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() == "token" and key and self._api_key in {None, key}:
            return None
        if scheme.lower() == "bearer" and key and key == self._access_token:
            return None
        return self.refusal(401, "INVALID_AUTH", "Invalid credentials.")

    def refusal(self, status: int, code: str | None, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An error over HTTP."""
        request_id = str(uuid4())
        body = {"err_code": code or "ERROR", "err_msg": message, "request_id": request_id}
        told = [*headers, ("dg-request-id", request_id), ("dg-error", message)]
        return Response(status, json.dumps(body), headers=told, media_type="application/json")


class DeepgramSimulator(VendorSimulator):
    """Deepgram's service on loopback (`VendorSimulator`).

    It hears at `/v1/listen` (Nova) and `/v2/listen` (Flux), and speaks at `/v1/speak` (Aura), over HTTP and WebSocket.

        async with DeepgramSimulator(transcripts=["when do you open"]) as vendor:
            stt = DeepgramSTT(api_key="any", base_url=vendor.url)
            tts = DeepgramTTS(api_key="any", base_url=vendor.url)

    Its hearing's time is that of the audio: a caller who sends nothing says nothing, however long it takes. It speaks raw formats;
    `voice.spoken` holds each text that was spoken, in order.

    Args:
        brain: Hears; by default all that is loud is speech.
        transcripts: What callers say, utterance after utterance; without them the brain understands.
        api_key: The key that is accepted; None for any.
        access_token: The short-lived token that is accepted after `Bearer`; None for none.
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
        access_token: str | None = None,
        voice: Voice | None = None,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(
            brain=brain or ScriptedBrain(),
            transcripts=transcripts,
            manners=DeepgramManners(api_key, access_token),
            interfaces=INTERFACES,
            voice=voice,
            clock=clock,
            tls=tls,
            port=port,
        )
