"""OpenAI as speech to text: transcription sessions, or one utterance at a time over HTTP."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

from trunkline.audio import AudioFormat, convert, wav
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.stt.http import VendorHttp
from trunkline.stt.provider import SttCapabilities, SttSession, Transcription
from trunkline.stt.streaming import Connection, check_mono, open_session
from trunkline.stt.utterances import CAPABILITIES, UtteranceOptions, utterance_session
from trunkline.transport import connect_websocket
from trunkline.transport.endpoint import checked_key, websocket_base
from trunkline.transport.error_map import ConnectionErrors
from trunkline.transport.http.client import Part
from trunkline.wire.realtime.openai import errors as words
from trunkline.wire.realtime.openai.session import VENDOR
from trunkline.wire.stt.openai import FORMATS, TranscriptionCodec, transcription

DEFAULT_MODEL: Final = "gpt-transcribe"
BASE_URL: Final = "https://api.openai.com/v1"
KEY_VARIABLE: Final = "OPENAI_API_KEY"

_ALIASES = {"whisper": "whisper-1"}
_LIVE = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""Models of transcription sessions alone, which detect no turns."""
_WITH_KEYWORDS = ("gpt-transcribe", "gpt-live-transcribe")
_WITHOUT_PROMPT = ("gpt-realtime-whisper",)
_PCM = AudioFormat("linear16", 24_000)
_MAX_MESSAGE = 4 * 2**20
_SHORTEST_MS = 100
_ATTEMPTS_WITHIN = 20.0


class OpenAISTT:
    """Sessions with OpenAI, or with a server that has the same interfaces.

    `gpt-live-transcribe` and `gpt-realtime-whisper` hear audio as it comes; this side says when an utterance is over (`finalize`). The
    other models get whole utterances over HTTP, cut by the local detector, or hear audio as it comes with `streams=True`.

    Args:
        api_key: The key; the environment variable `OPENAI_API_KEY` if None. It is never shown.
        model: `gpt-transcribe`, `gpt-live-transcribe`, `gpt-realtime-whisper`; and those that the vendor ends on 2027-02-26: `whisper-1`
            (`whisper` for short), `gpt-4o-transcribe`, `gpt-4o-mini-transcribe`.
        language: What is spoken, a code such as "en"; None lets the vendor find out.
        keyterms: Words and names that are to be expected.
        prompt: What the conversation is about, in words; not with `gpt-realtime-whisper`.
        streams: Whether audio is heard as it comes; None for what the model is made for.
        turn_detection: The vendor's object of that name where audio is heard as it comes, such as `{"type": "server_vad"}`; None where this
            side ends utterances, which the two models above need.
        utterances: How audio is cut where whole utterances are sent.
        base_url: Where the API is; `http` and `ws` for this machine only.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy; None for none, "environment" for what `HTTPS_PROXY` and `NO_PROXY` say.
        connect_timeout: Seconds for the connection and for the vendor to be ready.
        clock: Where time comes from.

    Raises:
        InvalidConfig: There is no key, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str = DEFAULT_MODEL,
        language: str | None = None,
        keyterms: Sequence[str] = (),
        prompt: str | None = None,
        streams: bool | None = None,
        turn_detection: Mapping[str, Any] | None = None,
        utterances: UtteranceOptions | None = None,
        base_url: str = BASE_URL,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        connect_timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._key = checked_key(api_key, KEY_VARIABLE)
        self._model = _ALIASES.get(model, model)
        self._streams = self._model in _LIVE if streams is None else streams
        if isinstance(keyterms, str):
            raise InvalidConfig("keyterms", "must be a list of words, not a text")
        if self._model in _LIVE and not self._streams:
            raise InvalidConfig("streams", f"{self._model} hears audio as it comes only")
        if turn_detection is not None and (self._model in _LIVE or not self._streams):
            raise InvalidConfig("turn_detection", f"{self._model} detects no turns here; leave it None")
        if (prompt or keyterms) and self._model in _WITHOUT_PROMPT:
            raise InvalidConfig("prompt", f"{self._model} takes neither a prompt nor keyterms")
        self._language = language.partition("-")[0].lower() if language else None
        self._keyterms = tuple(keyterms)
        self._prompt = prompt
        self._turn_detection = turn_detection
        self._utterances = utterances or UtteranceOptions()
        self._base = websocket_base(base_url)
        self._tls = tls
        self._proxy = proxy
        self._connect_timeout = connect_timeout
        self._clock = clock
        self._errors = ConnectionErrors(VENDOR, words, self._key)
        self._headers = [("Authorization", f"Bearer {self._key}")]
        self._http = VendorHttp(
            base_url,
            headers=self._headers,
            errors=self._errors,
            timeout=_ATTEMPTS_WITHIN,
            tls=tls,
            proxy=proxy,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"OpenAISTT(model={self._model!r}, base_url={self._base!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    @property
    def capabilities(self) -> SttCapabilities:
        """What its sessions can do with this model."""
        if not self._streams:
            return CAPABILITIES
        detects = self._turn_detection is not None
        return SttCapabilities(reports_speech=detects, ends_turns=detects, native_formats=tuple(FORMATS))

    def connect(self, audio_format: AudioFormat) -> AbstractAsyncContextManager[SttSession]:
        """Open a session for one caller: `async with stt.connect(line_format) as session`; leaving the block closes it.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
            InvalidConfig: The audio is not mono.
        """
        check_mono(audio_format)
        if not self._streams:
            return utterance_session(self, audio_format, self._utterances, vendor=self.name, clock=self._clock)
        native = audio_format if audio_format in FORMATS else _PCM
        dial = partial(
            connect_websocket,
            f"{self._base}/realtime?intent=transcription",
            headers=self._headers,
            tls=self._tls,
            proxy=self._proxy,
            connect_timeout=self._connect_timeout,
            max_size=_MAX_MESSAGE,
            clock=self._clock,
        )
        codec = TranscriptionCodec(
            native, transcription=self._live_transcription(), turn_detection=self._turn_detection
        )
        return open_session(
            Connection(
                dial=dial,
                codec=codec,
                audio_format=audio_format,
                capabilities=self.capabilities,
                errors=self._errors,
                connect_timeout=self._connect_timeout,
                clock=self._clock,
            )
        )

    async def transcribe(self, audio: bytes, audio_format: AudioFormat) -> Transcription:
        """The words of one utterance; with a model of whole utterances.

        Raises:
            ProviderError: The vendor refused, failed or could not be reached.
        """
        if audio_format.duration_ms(len(audio)) < _SHORTEST_MS:
            return Transcription("")
        linear = AudioFormat("linear16", audio_format.sample_rate)
        file = wav.encode(linear, convert(audio, audio_format, linear))
        parts = [Part("model", self._model), Part("response_format", "json")]
        if self._language:
            has_several = self._model == "gpt-transcribe"
            parts.append(Part("languages[]" if has_several else "language", self._language))
        if self._model in _WITH_KEYWORDS:
            parts += [Part("keywords[]", term) for term in self._keyterms]
        if prompt := self._whole_prompt():
            parts.append(Part("prompt", prompt))
        parts.append(Part("file", file, filename="utterance.wav", media_type="audio/wav"))
        return Transcription(*transcription(await self._http.post("audio/transcriptions", parts)))

    async def aclose(self) -> None:
        """Close the connections that are kept for whole utterances; any number of times."""
        await self._http.aclose()

    def _live_transcription(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {"model": self._model}
        if self._language:
            wanted["language"] = self._language
        if self._keyterms and self._model in _WITH_KEYWORDS:
            wanted["keywords"] = list(self._keyterms)
        if prompt := self._whole_prompt():
            wanted["prompt"] = prompt
        return wanted

    def _whole_prompt(self) -> str:
        """The prompt, with the keyterms in it where the model has no other place for them."""
        terms = () if self._model in _WITH_KEYWORDS else self._keyterms
        return " ".join(filter(None, [self._prompt, ", ".join(terms)]))
