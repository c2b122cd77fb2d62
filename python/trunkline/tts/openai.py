"""OpenAI as an engine, or a server that speaks the same protocol: a request for each sentence."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.transport.endpoint import checked_key, http_base
from trunkline.transport.error_map import ConnectionErrors
from trunkline.tts.http_speech import SpeechRequests
from trunkline.tts.provider import SpeechCapabilities, SpeechPiece, SpeechSession
from trunkline.tts.sentences import sentence_session
from trunkline.tts.text import bounded
from trunkline.wire.realtime.openai import errors as words
from trunkline.wire.tts import openai as wire


class OpenAITTS:
    """Speaks with OpenAI; linear16 at 24 kHz, as it has no telephone format.

    The vendor ends its models for this interface on 2027-01-06 and names no successor; other servers that imitate it go on (`base_url`).

    Args:
        api_key: The key; the environment variable `OPENAI_API_KEY` if None. It is never shown.
        voice_id: alloy, echo, fable, onyx, nova, shimmer and others, not every one with every model; or the id of a voice of your own.
        model: The vendor's name of the model.
        instructions: How to speak, in words; not with the models tts-1 and tts-1-hd.
        speed: 0.25 to 4; None for the voice's own.
        sample_rate: Of the audio, in hertz; other servers may have another than the vendor's 24,000.
        base_url: Where the API is, with its version; `http` for this machine only.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy; None for none, "environment" for what `HTTPS_PROXY` and `NO_PROXY` say.
        connect_timeout: Seconds for the connection.
        patience: Seconds that the vendor may be silent while it owes speech.
        clock: Where time comes from.

    Raises:
        InvalidConfig: There is no key, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        voice_id: str = wire.DEFAULT_VOICE,
        model: str = wire.DEFAULT_MODEL,
        instructions: str | None = None,
        speed: float | None = None,
        sample_rate: int = wire.SAMPLE_RATE,
        base_url: str = wire.BASE_URL,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        connect_timeout: float = 10.0,
        patience: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        key = checked_key(api_key, wire.KEY_VARIABLE)
        if not voice_id:
            raise InvalidConfig("voice_id", "must name a voice")
        if not model:
            raise InvalidConfig("model", "must name a model")
        if instructions is not None and not wire.takes_instructions(model):
            raise InvalidConfig("instructions", f"{model!r} takes none")
        if speed is not None and not 0.25 <= speed <= 4:
            raise InvalidConfig("speed", f"must be between 0.25 and 4, got {speed!r}")
        self._voice_id = voice_id
        self._model = model
        self._instructions = instructions
        self._speed = speed
        self._format = AudioFormat("linear16", sample_rate)
        self._url = f"{http_base(base_url)}{wire.PATH}"
        self._headers = wire.headers(key)
        self._clock = clock
        self._requests = SpeechRequests(
            ConnectionErrors(wire.VENDOR, words, key),
            words,
            tls=tls,
            proxy=proxy,
            connect_timeout=connect_timeout,
            patience=patience,
            clock=clock,
        )

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return wire.VENDOR

    @property
    def capabilities(self) -> SpeechCapabilities:
        """What it can do."""
        return SpeechCapabilities(formats=(self._format,), sentences=True)

    def open(self, output_format: AudioFormat | None = None) -> AbstractAsyncContextManager[SpeechSession]:
        """Open the voice of one call; see `TextToSpeech`."""
        return sentence_session(
            self._spoken, self.capabilities.nearest(output_format), vendor=self.name, clock=self._clock
        )

    async def aclose(self) -> None:
        """Close connections that are kept; any number of times."""
        await self._requests.aclose()

    def __repr__(self) -> str:
        return f"OpenAITTS(voice_id={self._voice_id!r}, model={self._model!r})"

    async def _spoken(self, text: str) -> AsyncGenerator[SpeechPiece]:
        for part in bounded(text, wire.MOST_CHARACTERS):
            body = wire.request_body(
                part, model=self._model, voice=self._voice_id, instructions=self._instructions, speed=self._speed
            )
            async with aclosing(self._requests.audio(self._url, self._headers, body)) as chunks:
                async for chunk in chunks:
                    yield SpeechPiece(chunk)
