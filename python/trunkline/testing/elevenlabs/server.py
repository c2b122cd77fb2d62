"""The front door of a simulated ElevenLabs: keys, refusals, and the list of its interfaces."""

import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain, ScriptedBrain
from trunkline.testing.elevenlabs import scribe, scribe_realtime
from trunkline.testing.vendor_simulator import VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route

INTERFACES: list[Callable[[VendorSimulator], Iterable[Route]]] = [scribe.routes, scribe_realtime.routes]
"""Each gives the routes of one interface; a further one is added here."""


class ElevenLabsManners:
    """ElevenLabs' way to refuse: everything under `detail` (`Manners`)."""

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key

    def refused(self, request: Request) -> Response | None:
        """401 for a missing or wrong key; a single-use token in the address counts as one."""
        key = request.headers.get("xi-api-key", "") or one(query_of(request), "token")
        if key and self._api_key in {None, key}:
            return None
        return self.refusal(401, "invalid_api_key", "Invalid API key")

    def refusal(self, status: int, code: str | None, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An error over HTTP."""
        kind = "authentication_error" if status == 401 else "validation_error" if status < 500 else "internal_error"
        detail = {"type": kind, "code": code, "message": message, "status": code, "request_id": uuid4().hex}
        return Response(status, json.dumps({"detail": detail}), headers=headers, media_type="application/json")


class ElevenLabsSimulator(VendorSimulator):
    """ElevenLabs' service on loopback (`VendorSimulator`): Scribe at `/v1/speech-to-text`, and `/realtime` below it.

        async with ElevenLabsSimulator(transcripts=["when do you open"]) as vendor:
            stt = ElevenLabsSTT(api_key="any", base_url=vendor.url)

    Args:
        brain: Hears; by default all that is loud is speech.
        transcripts: What callers say, utterance after utterance; without them the brain understands.
        api_key: The key that is accepted; None for any.
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
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(
            brain=brain or ScriptedBrain(),
            transcripts=transcripts,
            manners=ElevenLabsManners(api_key),
            interfaces=INTERFACES,
            clock=clock,
            tls=tls,
            port=port,
        )
