"""ElevenLabs as speech to text: Scribe, as the caller speaks or one utterance at a time."""

import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Literal

from trunkline.audio import AudioFormat, convert
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
from trunkline.wire.stt.elevenlabs import FORMATS, ScribeCodec, realtime_query, transcription
from trunkline.wire.vendors import elevenlabs as words

DEFAULT_MODEL: Final = "scribe_v2_realtime"
BASE_URL: Final = "https://api.elevenlabs.io"
KEY_VARIABLE: Final = "ELEVENLABS_API_KEY"

_ALIASES = {"scribe": DEFAULT_MODEL}
_REALTIME = ("_realtime", "_live")
_CONVERTED = AudioFormat("linear16", 16_000)
_MAX_MESSAGE = 4 * 2**20
_MAX_TERMS = 50
_LONGEST_TERM = {True: 20, False: 50}  # characters, by whether the model hears audio as it comes
_SHORTEST_MS = 100
_ATTEMPTS_WITHIN = 20.0


class ElevenLabsSTT:
    """Sessions with ElevenLabs' Scribe.

    A model whose name ends in `_realtime` or `_live` hears audio as it comes. The others get whole utterances, cut by the local detector.

    Args:
        api_key: The key; the environment variable `ELEVENLABS_API_KEY` if None. It is never shown.
        model: `scribe_v2_realtime` (`scribe` for short), `scribe_v3_live`; for whole utterances `scribe_v1`, `scribe_v2`, `scribe_v3`,
            `scribe_v2_medical`.
        language: What is spoken, a code such as "en"; of "en-US" the first part is sent. None lets the vendor find out.
        keyterms: Words and names that are to be expected: at most 50, of 20 characters where audio is heard as it comes, else of 50.
        commit: Who ends utterances, where audio is heard as it comes: "manual" for this side (`finalize`), which is quicker and better
            where the caller's pauses are noticed here, or "vad" for the vendor's silence detection.
        vad_silence_ms: With `commit="vad"`, silence that ends an utterance, 300 to 3000.
        utterances: How audio is cut for a model of whole utterances.
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
        commit: Literal["manual", "vad"] = "manual",
        vad_silence_ms: int = 500,
        utterances: UtteranceOptions | None = None,
        base_url: str = BASE_URL,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        connect_timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._key = checked_key(api_key, KEY_VARIABLE)
        self._model = _ALIASES.get(model, model)
        self._streams = self._model.endswith(_REALTIME)
        self._language = language.partition("-")[0].lower() if language else None
        self._keyterms = _checked_terms(keyterms, _LONGEST_TERM[self._streams])
        if commit not in {"manual", "vad"}:
            raise InvalidConfig("commit", f"must be manual or vad, got {commit!r}")
        if not 300 <= vad_silence_ms <= 3000:
            raise InvalidConfig("vad_silence_ms", f"must be between 300 and 3000, got {vad_silence_ms!r}")
        self._commit = commit
        self._vad_silence_ms = vad_silence_ms
        self._utterances = utterances or UtteranceOptions()
        self._base = websocket_base(base_url)
        self._tls = tls
        self._proxy = proxy
        self._connect_timeout = connect_timeout
        self._clock = clock
        self._errors = ConnectionErrors(words.VENDOR, words, self._key)
        self._http = VendorHttp(
            base_url,
            headers=[("xi-api-key", self._key)],
            errors=self._errors,
            timeout=_ATTEMPTS_WITHIN,
            tls=tls,
            proxy=proxy,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"ElevenLabsSTT(model={self._model!r}, base_url={self._base!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return words.VENDOR

    @property
    def capabilities(self) -> SttCapabilities:
        """What its sessions can do with this model."""
        if not self._streams:
            return CAPABILITIES
        return SttCapabilities(ends_turns=self._commit == "vad", native_formats=tuple(FORMATS))

    def connect(self, audio_format: AudioFormat) -> AbstractAsyncContextManager[SttSession]:
        """Open a session for one caller: `async with stt.connect(line_format) as session`; leaving the block closes it.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
            InvalidConfig: The audio is not mono.
        """
        check_mono(audio_format)
        if not self._streams:
            return utterance_session(self, audio_format, self._utterances, vendor=self.name, clock=self._clock)
        native = audio_format if audio_format in FORMATS else _CONVERTED
        by_silence = self._commit == "vad"
        parameters = {
            "model_id": self._model,
            "commit_strategy": self._commit,
            "language_code": self._language,
            "keyterms": self._keyterms,
            "vad_silence_threshold_secs": self._vad_silence_ms / 1000 if by_silence else None,
        }
        dial = partial(
            connect_websocket,
            f"{self._base}/v1/speech-to-text/realtime?{realtime_query(parameters, native)}",
            headers=[("xi-api-key", self._key)],
            tls=self._tls,
            proxy=self._proxy,
            connect_timeout=self._connect_timeout,
            max_size=_MAX_MESSAGE,
            clock=self._clock,
        )
        return open_session(
            Connection(
                dial=dial,
                codec=ScribeCodec(native, commits=by_silence),
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
        pcm = convert(audio, audio_format, _CONVERTED)
        parts = [
            Part("model_id", self._model),
            Part("tag_audio_events", "false"),
            Part("timestamps_granularity", "word"),
            Part("file_format", "pcm_s16le_16"),
            *([Part("language_code", self._language)] if self._language else []),
            *(Part("keyterms", term) for term in self._keyterms),
            Part("file", pcm, filename="utterance.pcm", media_type="application/octet-stream"),
        ]
        return Transcription(*transcription(await self._http.post("v1/speech-to-text", parts)))

    async def aclose(self) -> None:
        """Close the connections that are kept for whole utterances; any number of times."""
        await self._http.aclose()


def _checked_terms(keyterms: Sequence[str], longest: int) -> tuple[str, ...]:
    if isinstance(keyterms, str):
        raise InvalidConfig("keyterms", "must be a list of words, not a text")
    if len(keyterms) > _MAX_TERMS:
        raise InvalidConfig("keyterms", f"must be at most {_MAX_TERMS}, got {len(keyterms)}")
    for term in keyterms:
        if not 0 < len(term) <= longest:
            raise InvalidConfig("keyterms", f"must have 1 to {longest} characters each, got {term!r}")
    return tuple(keyterms)
