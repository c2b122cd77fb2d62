"""The front door of a simulated OpenAI over HTTP: keys, refusals, and the list of its interfaces."""

import json
import ssl
from collections.abc import Callable, Iterable, Sequence

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain, ScriptedBrain
from trunkline.testing.invented_speech import Voice
from trunkline.testing.openai_http import speech
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

INTERFACES: list[Callable[[VendorSimulator], Iterable[Route]]] = [speech.routes]
"""Each gives the routes of one interface; a further one is added here."""


class OpenAIManners:
    """OpenAI's way to refuse: an object under `error` (`Manners`)."""

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key

    def refused(self, request: Request) -> Response | None:
        """401 for a missing or wrong key."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and key.strip() and self._api_key in {None, key.strip()}:
            return None
        return self.refusal(401, "invalid_api_key", "Incorrect API key provided.")

    def refusal(self, status: int, code: str | None, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An error over HTTP."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        told = [*headers, ("x-request-id", "req_0123456789abcdef")]
        return Response(status, json.dumps(body), headers=told, media_type="application/json")


class OpenAISimulator(VendorSimulator):
    """OpenAI's HTTP services on loopback (`VendorSimulator`): speech.

        async with OpenAISimulator() as vendor:
            tts = OpenAITTS(api_key="any", base_url=vendor.url)

    `voice.spoken` holds each text that was spoken, in order.

    Args:
        brain: Hears.
        transcripts: What callers say, utterance after utterance; without them the brain understands.
        api_key: The key that is accepted; None for any.
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
        voice: Voice | None = None,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(
            brain=brain or ScriptedBrain(),
            transcripts=transcripts,
            manners=OpenAIManners(api_key),
            interfaces=INTERFACES,
            prefix="/v1",
            voice=voice,
            clock=clock,
            tls=tls,
            port=port,
        )
