"""The front door of OpenAI's simulated HTTP interfaces: keys, refusals, and the list of the interfaces."""

import json
import ssl
from collections.abc import Callable, Iterable, Sequence

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain, ScriptedBrain
from trunkline.testing.invented_speech import Voice
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai_http import speech, transcriptions
from trunkline.testing.openai_http.chat import ChatCompletions
from trunkline.testing.vendor_simulator import VendorSimulator
from trunkline.transport.http.routing import Request, Response, Route

INTERFACES: list[Callable[[VendorSimulator], Iterable[Route]]] = [transcriptions.routes, speech.routes]
"""Each gives the routes of one interface; a further one is added here."""

_KINDS = {401: "invalid_request_error", 429: "requests"}


class OpenAIManners:
    """OpenAI's way to refuse: an `error` object (`Manners`)."""

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key

    def refused(self, request: Request) -> Response | None:
        """401 for a missing or wrong key."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return self.refusal(401, "invalid_api_key", "You didn't provide an API key.")
        if self._api_key not in {None, key.strip()}:
            return self.refusal(401, "invalid_api_key", "Incorrect API key provided.")
        return None

    def refusal(self, status: int, code: str | None, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An error over HTTP."""
        kind = "server_error" if status >= 500 else _KINDS.get(status, "invalid_request_error")
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        told = [*headers, ("x-request-id", new_id("req"))]
        return Response(status, json.dumps(body), headers=told, media_type="application/json")


class OpenAISimulator(VendorSimulator):
    """OpenAI's HTTP interfaces on loopback (`VendorSimulator`): transcriptions, speech and chat completions.

        async with OpenAISimulator(transcripts=["when do you open"]) as vendor:
            stt = OpenAISTT(api_key="any", base_url=vendor.url)
            tts = OpenAITTS(api_key="any", base_url=vendor.url)
            llm = OpenAILLM(api_key="any", base_url=vendor.url)

    `voice.spoken` holds each text that was spoken, in order.

    Args:
        brain: Hears; by default all that is loud is speech.
        transcripts: What callers say, utterance after utterance; without them the brain understands.
        api_key: The key that is accepted; None for any.
        voice: How it speaks.
        chat: Chat Completions; None for one that greets.
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
        chat: ChatCompletions | None = None,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        self.chat = chat or ChatCompletions(clock=clock)
        super().__init__(
            brain=brain or ScriptedBrain(),
            transcripts=transcripts,
            manners=OpenAIManners(api_key),
            interfaces=[*INTERFACES, lambda _simulator: self.chat.routes],
            prefix="/v1",
            voice=voice,
            clock=clock,
            tls=tls,
            port=port,
        )
