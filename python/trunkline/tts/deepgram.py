"""Deepgram Aura as an engine: a WebSocket for the call, or a request for each sentence."""

import logging
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Literal
from urllib.parse import urlencode

import anyio

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionFailed, InvalidConfig, ProviderError
from trunkline.transport import MessageStream, connect_websocket
from trunkline.transport.endpoint import checked_key, http_base, websocket_base
from trunkline.transport.error_map import ConnectionErrors
from trunkline.tts.http_speech import SpeechRequests
from trunkline.tts.link import Connect, LinkUtterance, SpeechLink
from trunkline.tts.pieces import PieceQueue
from trunkline.tts.provider import SpeechCapabilities, SpeechPiece, SpeechSession
from trunkline.tts.sentences import sentence_session
from trunkline.tts.text import bounded
from trunkline.tts.warm import warm_session
from trunkline.wire.tts import deepgram as wire
from trunkline.wire.vendors import deepgram as vendor

log = logging.getLogger(__name__)

CLEARED_WITHIN = 2.0
"""Seconds after which a connection that does not confirm a `Clear` is replaced."""

MOST_FLUSHES = 19
"""In a minute on one connection; the vendor ignores those above 20."""

LONGEST_USE = 55 * 60.0
"""Seconds after which a connection is replaced, before the vendor's own limit of about an hour."""


class DeepgramTTS:
    """Speaks with Deepgram Aura; µ-law at 8 kHz for a telephone.

    Args:
        api_key: The key; the environment variable `DEEPGRAM_API_KEY` if None. It is never shown.
        voice_id: The voice, which with this vendor is a model: "aura-asteria-en", "aura-2-thalia-en", …
        model: A second name for `voice_id`.
        speed: 0.7 to 1.5, with English and Spanish voices of Aura 2; None for the voice's own.
        transport: "websocket" keeps one connection for a call; "http" sends a request for each sentence, and tells which audio is
            which sentence's.
        base_url: Where the API is; `http` and `ws` for this machine only.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy; None for none, "environment" for what `HTTPS_PROXY` and `NO_PROXY` say.
        connect_timeout: Seconds for connection and handshake together.
        patience: Seconds that the vendor may be silent while it owes speech.
        clock: Where time comes from.

    Raises:
        InvalidConfig: There is no key, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        voice_id: str | None = None,
        model: str | None = None,
        speed: float | None = None,
        transport: Literal["websocket", "http"] = "websocket",
        base_url: str = wire.BASE_URL,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        connect_timeout: float = 10.0,
        patience: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._key = checked_key(api_key, wire.KEY_VARIABLE)
        if voice_id and model and voice_id != model:
            raise InvalidConfig(
                "voice_id", f"is {voice_id!r}, but model is {model!r}; with this vendor they are the same"
            )
        if speed is not None and not 0.7 <= speed <= 1.5:
            raise InvalidConfig("speed", f"must be between 0.7 and 1.5, got {speed!r}")
        if transport not in {"websocket", "http"}:
            raise InvalidConfig("transport", f"must be 'websocket' or 'http', got {transport!r}")
        self._model = voice_id or model or wire.DEFAULT_MODEL
        self._speed = speed
        self._transport = transport
        self._sockets, self._pages = websocket_base(base_url), http_base(base_url)
        self._tls = tls
        self._proxy = proxy
        self._connect_timeout = connect_timeout
        self._patience = patience
        self._clock = clock
        self._errors = ConnectionErrors(vendor.VENDOR, vendor, self._key)
        self._requests = SpeechRequests(
            self._errors, vendor, tls=tls, proxy=proxy, connect_timeout=connect_timeout, patience=patience, clock=clock
        )

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return vendor.VENDOR

    @property
    def capabilities(self) -> SpeechCapabilities:
        """What it can do, as it is configured."""
        return SpeechCapabilities(formats=wire.FORMATS, sentences=self._transport == "http")

    def open(self, output_format: AudioFormat | None = None) -> AbstractAsyncContextManager[SpeechSession]:
        """Open the voice of one call; see `TextToSpeech`."""
        audio_format = self.capabilities.nearest(output_format)
        if self._transport == "http":
            return sentence_session(
                lambda text: self._spoken(text, audio_format), audio_format, vendor=self.name, clock=self._clock
            )
        return self._socket_session(audio_format)

    async def aclose(self) -> None:
        """Close connections that are kept for requests; any number of times."""
        await self._requests.aclose()

    def __repr__(self) -> str:
        return f"DeepgramTTS(model={self._model!r}, transport={self._transport!r})"

    @asynccontextmanager
    async def _socket_session(self, audio_format: AudioFormat) -> AsyncIterator[SpeechSession]:
        query = wire.query(model=self._model, output_format=audio_format, speed=self._speed)
        url = f"{self._sockets}{wire.PATH}?{urlencode(query)}"

        def connect() -> AbstractAsyncContextManager[MessageStream]:
            return connect_websocket(
                url,
                headers=wire.headers(self._key),
                tls=self._tls,
                proxy=self._proxy,
                connect_timeout=self._connect_timeout,
                clock=self._clock,
            )

        def new_queue() -> PieceQueue:
            return PieceQueue(audio_format, vendor=self.name, patience=self._patience, clock=self._clock)

        async with warm_session(
            lambda: DeepgramLink(connect, self._errors, new_queue, self._clock), audio_format
        ) as session:
            yield session

    async def _spoken(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechPiece]:
        query = wire.request_query(model=self._model, output_format=audio_format, speed=self._speed)
        url = f"{self._pages}{wire.PATH}?{urlencode(query)}"
        for part in bounded(text, wire.MOST_CHARACTERS):
            async with aclosing(self._requests.audio(url, wire.headers(self._key), {"text": part})) as chunks:
                async for chunk in chunks:
                    yield SpeechPiece(chunk)


class DeepgramLink(SpeechLink):
    """One socket, and on it one utterance after the other. Audio has no name of its utterance: what comes before `Cleared` is dropped.

    Args:
        connect: Opens the WebSocket.
        errors: Makes errors of what goes wrong.
        new_queue: Makes what takes an utterance's audio.
        clock: Where time comes from.
    """

    def __init__(
        self, connect: Connect, errors: ConnectionErrors, new_queue: Callable[[], PieceQueue], clock: Clock
    ) -> None:
        super().__init__(connect, vendor.VENDOR, errors, goodbye=wire.CLOSE)
        self._new_queue = new_queue
        self._clock = clock
        self._began = clock.now()
        self._flushes: deque[float] = deque(maxlen=MOST_FLUSHES)
        self._speaking: FlushedUtterance | None = None
        self._clearing = 0
        self._clear = anyio.Event()

    @property
    def is_usable(self) -> bool:
        """Whether another utterance may begin on it."""
        now = self._clock.now()
        may_flush = len(self._flushes) < MOST_FLUSHES or now - self._flushes[0] > 60
        return not self.over and may_flush and now - self._began < LONGEST_USE

    async def begin(self) -> "FlushedUtterance":
        """An utterance, once what was given up before it is cleared."""
        if self._clearing and not self.over:
            with self._clock.move_on_after(CLEARED_WITHIN):
                await self._clear.wait()
        if self.failure is not None:
            raise self.failure
        if self._clearing or self.over:
            raise ConnectionFailed("the vendor did not clear what was given up", "timeout", vendor=self.vendor)
        self._speaking = FlushedUtterance(self, self._new_queue())
        return self._speaking

    def take(self, message: str | bytes) -> None:
        """A message of the vendor's."""
        match wire.parse(message):
            case wire.Audio(audio=audio):
                if self._speaking is not None and not self._clearing:
                    self._speaking.queue.put(audio)
            case wire.Flushed():
                if self._speaking is not None and not self._clearing and self._speaking.finished:
                    self._speaking.queue.end()
                    self._speaking = None
            case wire.Cleared():
                self._clearing = max(0, self._clearing - 1)
                if not self._clearing:
                    self._clear.set()
            case wire.Warned(code=code, description=description):
                log.warning("%s warns: %s %s", self.vendor, code, description)
            case wire.Failed() as failed:
                raise wire.error_from(failed)
            case None:
                pass

    def lost(self, error: ProviderError) -> None:
        """End the utterance, and the wait for a clear."""
        if self._speaking is not None:
            self._speaking.queue.end(error)
            self._speaking = None
        self._clear.set()

    def flushing(self) -> str:
        """The message that flushes, which is counted."""
        self._flushes.append(self._clock.now())
        return wire.FLUSH

    def drop(self, utterance: "FlushedUtterance") -> Sequence[str]:
        """Drop what is left of an utterance: from now on until `Cleared` all audio."""
        if self._speaking is not utterance:
            return []
        self._speaking = None
        if not utterance.begun or self.over:
            return []
        self._clearing += 1
        self._clear = anyio.Event()
        return [wire.CLEAR]


class FlushedUtterance(LinkUtterance):
    """An answer that ends with a flush: one, as flushes are few.

    Args:
        link: The socket.
        queue: Takes what comes.
    """

    def __init__(self, link: DeepgramLink, queue: PieceQueue) -> None:
        super().__init__(link, queue)
        self._socket = link

    def say(self, text: str) -> Sequence[str]:
        """The vendor begins to speak at the end of each sentence."""
        return [wire.speak(part) for part in bounded(text, wire.MOST_CHARACTERS - 1)]

    def last(self) -> Sequence[str]:
        """All audio comes before the vendor says that it flushed."""
        return [self._socket.flushing()]

    def abandon(self) -> Sequence[str]:
        """Clear what is left."""
        self.finished = True
        return self._socket.drop(self)
