"""ElevenLabs as an engine: a WebSocket with a context for each answer, or a request for each sentence."""

import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from itertools import count
from typing import Any, Literal
from urllib.parse import urlencode

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig, ProviderError, RemoteProtocolError
from trunkline.transport import MessageStream, connect_websocket
from trunkline.transport.endpoint import checked_key, http_base, websocket_base
from trunkline.transport.error_map import ConnectionErrors
from trunkline.tts.http_speech import SpeechRequests
from trunkline.tts.link import Connect, LinkUtterance, SpeechLink
from trunkline.tts.pieces import PieceQueue
from trunkline.tts.provider import SpeechCapabilities, SpeechPiece, SpeechSession, SpokenWord
from trunkline.tts.sentences import sentence_session
from trunkline.tts.warm import warm_session
from trunkline.tts.words import WordTimes
from trunkline.wire.tts import elevenlabs as wire
from trunkline.wire.vendors import elevenlabs as vendor

log = logging.getLogger(__name__)

MAX_MESSAGE = 16 * 2**20  # a piece of audio may be above the usual 1 MiB


class ElevenLabsTTS:
    """Speaks with ElevenLabs; µ-law at 8 kHz for a telephone, and the times of all words.

    Args:
        api_key: The key; the environment variable `ELEVENLABS_API_KEY` if None. It is never shown.
        voice_id: The id of a voice, your own cloned ones too; "Rachel" is known by name.
        model: The vendor's name of the model.
        language: ISO 639-1 code, for models that take one; None lets the vendor find out.
        voice_settings: `stability`, `similarity_boost`, `style` (0 to 1), `use_speaker_boost`, `speed` (0.7 to 1.2).
        text_normalization: "auto", "on" or "off": whether numbers and the like are put into words; None leaves it to the vendor.
        transport: "websocket" keeps one connection for a call; "http" sends a request for each sentence.
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
        voice_id: str = wire.RACHEL,
        model: str = wire.DEFAULT_MODEL,
        language: str | None = None,
        voice_settings: Mapping[str, Any] | None = None,
        text_normalization: Literal["auto", "on", "off"] | None = None,
        transport: Literal["websocket", "http"] = "websocket",
        base_url: str = wire.BASE_URL,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        connect_timeout: float = 10.0,
        patience: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._key = checked_key(api_key, wire.KEY_VARIABLE)
        if not voice_id:
            raise InvalidConfig("voice_id", "must name a voice")
        if transport not in {"websocket", "http"}:
            raise InvalidConfig("transport", f"must be 'websocket' or 'http', got {transport!r}")
        if not model or (transport == "websocket" and not wire.has_sockets(model)):
            raise InvalidConfig(
                "model", f"{model!r} does not speak over a WebSocket; take one that does, or transport='http'"
            )
        self._settings = dict(voice_settings or {})
        wire.SETTINGS.check(self._settings, "voice_settings")
        self._voice_id = wire.VOICES.get(voice_id.lower(), voice_id)
        self._model = model
        self._language = language
        self._normalization = text_normalization
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
        return SpeechCapabilities(formats=tuple(wire.FORMATS), word_timings=True, sentences=self._transport == "http")

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
        return f"ElevenLabsTTS(voice_id={self._voice_id!r}, model={self._model!r}, transport={self._transport!r})"

    @asynccontextmanager
    async def _socket_session(self, audio_format: AudioFormat) -> AsyncIterator[SpeechSession]:
        query = wire.socket_query(
            model=self._model,
            output_format=audio_format,
            language=self._language,
            text_normalization=self._normalization,
        )
        url = f"{self._sockets}{wire.socket_path(self._voice_id)}?{urlencode(query)}"

        def connect() -> AbstractAsyncContextManager[MessageStream]:
            return connect_websocket(
                url,
                headers=wire.headers(self._key),
                tls=self._tls,
                proxy=self._proxy,
                connect_timeout=self._connect_timeout,
                max_size=MAX_MESSAGE,
                clock=self._clock,
            )

        def new_queue() -> PieceQueue:
            return PieceQueue(audio_format, vendor=self.name, patience=self._patience, clock=self._clock)

        async with warm_session(
            lambda: ElevenLabsLink(connect, self._errors, self._settings, audio_format, new_queue), audio_format
        ) as session:
            yield session

    async def _spoken(self, text: str, audio_format: AudioFormat) -> AsyncGenerator[SpeechPiece]:
        body = wire.request_body(
            text,
            model=self._model,
            voice_settings=self._settings,
            language=self._language,
            text_normalization=self._normalization,
        )
        url = f"{self._pages}{wire.stream_path(self._voice_id)}?output_format={wire.FORMATS[audio_format]}"
        words = WordTimes()
        received = 0
        async with aclosing(self._requests.lines(url, wire.headers(self._key), body)) as lines:
            async for line in lines:
                try:
                    piece = wire.parse_line(line)
                except RemoteProtocolError as odd:
                    log.warning("%s", odd)  # one line is lost, the sentence is not
                    continue
                known = _words(words, piece.characters, audio_format.duration_ms(received))
                received += len(piece.audio)
                yield SpeechPiece(piece.audio, known)
        if rest := words.end():
            yield SpeechPiece(b"", rest)


class ElevenLabsLink(SpeechLink):
    """One socket with a context for each utterance.

    Args:
        connect: Opens the WebSocket.
        errors: Makes errors of what goes wrong.
        voice_settings: Sent with each context.
        audio_format: The format of the audio.
        new_queue: Makes what takes an utterance's audio.
    """

    def __init__(
        self,
        connect: Connect,
        errors: ConnectionErrors,
        voice_settings: Mapping[str, Any],
        audio_format: AudioFormat,
        new_queue: Callable[[], PieceQueue],
    ) -> None:
        super().__init__(connect, vendor.VENDOR, errors, goodbye=wire.close_socket())
        self.voice_settings = voice_settings
        self.audio_format = audio_format
        self.contexts: dict[str, ContextUtterance] = {}
        self._new_queue = new_queue
        self._numbers = count(1)

    @property
    def is_usable(self) -> bool:
        """Whether another context may be opened; one place is left free, as a context that was closed keeps its own for a moment."""
        return not self.over and len(self.contexts) < wire.MOST_CONTEXTS - 1

    async def begin(self) -> "ContextUtterance":
        """An utterance with a context of its own, which is opened with its first text."""
        if self.failure is not None:
            raise self.failure
        return ContextUtterance(self, self._new_queue(), f"utterance-{next(self._numbers)}")

    def take(self, message: str | bytes) -> None:
        """A message of the vendor's; audio of contexts that were given up is dropped."""
        for event in wire.parse(message):
            if isinstance(event, wire.Failed):
                raise wire.error_from(event)
            utterance = self.contexts.get(event.context_id)
            if utterance is None:
                continue
            if isinstance(event, wire.ContextAudio):
                utterance.hear(event)
            else:
                del self.contexts[event.context_id]
                utterance.end()

    def lost(self, error: ProviderError) -> None:
        """End all utterances."""
        contexts, self.contexts = self.contexts, {}
        for utterance in contexts.values():
            utterance.queue.end(error)


class ContextUtterance(LinkUtterance):
    """An answer in a context of its own.

    Args:
        link: The socket.
        queue: Takes what comes.
        context_id: The context's name; never used twice on a socket.
    """

    def __init__(self, link: ElevenLabsLink, queue: PieceQueue, context_id: str) -> None:
        super().__init__(link, queue)
        self._socket = link
        self._context_id = context_id
        self._words = WordTimes()

    def say(self, text: str) -> Sequence[str]:
        """The first text opens the context."""
        if self.begun:
            return [wire.speak(self._context_id, text)]
        self._socket.contexts[self._context_id] = self
        return [
            wire.begin_context(self._context_id, self._socket.voice_settings),
            wire.speak(self._context_id, text),
        ]

    def last(self) -> Sequence[str]:
        """What was flushed is spoken before the context ends."""
        return [wire.flush_context(self._context_id), wire.close_context(self._context_id)]

    def abandon(self) -> Sequence[str]:
        """Close the context; it keeps its place until the vendor is done."""
        if self.finished or self._context_id not in self._socket.contexts:
            return []
        self.finished = True
        return [wire.close_context(self._context_id)]

    def hear(self, event: wire.ContextAudio) -> None:
        """Audio came; its times begin anew in every message."""
        offset_ms = self._socket.audio_format.duration_ms(self.queue.received_bytes)
        self.queue.put(event.audio, _words(self._words, event.characters, offset_ms))

    def end(self) -> None:
        """The context is over."""
        if rest := self._words.end():
            self.queue.put(b"", rest)
        self.queue.end()


def _words(times: WordTimes, characters: wire.Characters | None, offset_ms: float) -> tuple[SpokenWord, ...]:
    if characters is None:
        return ()
    return times.add(characters.text, characters.starts_ms, characters.durations_ms, offset_ms=offset_ms)
