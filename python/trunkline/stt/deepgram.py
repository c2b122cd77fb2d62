"""Deepgram as speech to text: Nova, and Flux, which judges turns."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.stt.provider import SttCapabilities, SttSession
from trunkline.stt.streaming import Connection, check_mono, open_session
from trunkline.transport import connect_websocket
from trunkline.transport.endpoint import checked_key, websocket_base
from trunkline.transport.error_map import ConnectionErrors
from trunkline.wire.stt.codec import SttCodec
from trunkline.wire.stt.deepgram.flux import FluxCodec
from trunkline.wire.stt.deepgram.nova import NovaCodec
from trunkline.wire.stt.deepgram.query import Parameter, listen_query
from trunkline.wire.vendors import deepgram as words

DEFAULT_MODEL: Final = "nova-2"
BASE_URL: Final = "https://api.deepgram.com"
KEY_VARIABLE: Final = "DEEPGRAM_API_KEY"

_ALIASES = {"nova": "nova-2", "flux": "flux-general-en"}
_NATIVE = (
    AudioFormat("mulaw", 8_000),
    AudioFormat("alaw", 8_000),
    *(AudioFormat("linear16", rate) for rate in (8_000, 16_000, 24_000, 48_000)),
)
_NOVA = SttCapabilities(reports_speech=True, native_formats=_NATIVE)
_MAX_MESSAGE = 4 * 2**20
_FLUX_PING = 8.0


class DeepgramSTT:
    """Sessions with Deepgram, or with a server of one's own that speaks the same protocol.

    With a Nova model an utterance is over after `endpointing_ms` of silence, or after `utterance_end_ms` without a word where noise hides
    the silence. With a Flux model the end of a turn is judged by what was said.

    Args:
        api_key: The key; the environment variable `DEEPGRAM_API_KEY` if None. It is never shown.
        model: Nova: `nova-3`, `nova-2` and their kinds for a field, such as `nova-3-medical` or `nova-2-phonecall`. Flux:
            `flux-general-en` (`flux` for short) and `flux-general-multi`.
        language: What is spoken, such as "en", "de" or, for several at once, "multi". `flux-general-en` hears English alone.
        keyterms: Words and names that are to be expected; Nova 2 and older models take single words.
        endpointing_ms: Nova: silence that ends an utterance.
        utterance_end_ms: Nova: a gap between words that ends one, at least 1000; None for none.
        smart_format: Nova: punctuation, capitals, numbers and dates as one writes them.
        eot_threshold: Flux: how sure the end of a turn must be, 0.5 to 1; higher is surer and slower.
        eager_eot_threshold: Flux: from which certainty `TurnEndLikely` tells of a turn that may be over, 0.3 to 0.9; None for never.
        eot_timeout_ms: Flux: silence that ends a turn in any case, 500 to 60000.
        parameters: Further parameters of the vendor's address, which go before ours; None leaves one out.
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
        endpointing_ms: int = 300,
        utterance_end_ms: int | None = 1000,
        smart_format: bool = True,
        eot_threshold: float | None = None,
        eager_eot_threshold: float | None = None,
        eot_timeout_ms: int | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        base_url: str = BASE_URL,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        connect_timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._key = checked_key(api_key, KEY_VARIABLE)
        self._model = _ALIASES.get(model, model)
        self._base = websocket_base(base_url)
        self._tls = tls
        self._proxy = proxy
        self._connect_timeout = connect_timeout
        self._clock = clock
        self._errors = ConnectionErrors(words.VENDOR, words, self._key)
        self._is_flux = self._model.startswith("flux")
        if isinstance(keyterms, str):
            raise InvalidConfig("keyterms", "must be a list of words, not a text")
        if self._is_flux:
            _check("eot_threshold", eot_threshold, 0.5, 1.0)
            _check("eager_eot_threshold", eager_eot_threshold, 0.3, min(0.9, eot_threshold or 0.7))
            _check("eot_timeout_ms", eot_timeout_ms, 500, 60_000)
            own = self._flux_parameters(language, keyterms) | {
                "eot_threshold": eot_threshold,
                "eager_eot_threshold": eager_eot_threshold,
                "eot_timeout_ms": eot_timeout_ms,
            }
        else:
            _check("endpointing_ms", endpointing_ms, 10, 10_000)
            _check("utterance_end_ms", utterance_end_ms, 1000, 60_000)
            own = self._nova_parameters(language, keyterms) | {
                "endpointing": endpointing_ms,
                "utterance_end_ms": utterance_end_ms,
                "smart_format": smart_format,
            }
        self._parameters: dict[str, Parameter] = {**own, **(parameters or {})}

    def __repr__(self) -> str:
        return f"DeepgramSTT(model={self._model!r}, base_url={self._base!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return words.VENDOR

    @property
    def capabilities(self) -> SttCapabilities:
        """What its sessions can do with this model."""
        if not self._is_flux:
            return _NOVA
        predicts = self._parameters.get("eager_eot_threshold") is not None
        return SttCapabilities(
            reports_speech=True, judges_turns=True, predicts_turn_end=predicts, native_formats=_NATIVE
        )

    def connect(self, audio_format: AudioFormat) -> AbstractAsyncContextManager[SttSession]:
        """Open a session for one caller: `async with stt.connect(line_format) as session`; leaving the block closes it.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
            InvalidConfig: The audio is not mono.
        """
        check_mono(audio_format)
        codec: SttCodec = FluxCodec(audio_format) if self._is_flux else NovaCodec(audio_format)
        version = "v2" if self._is_flux else "v1"
        dial = partial(
            connect_websocket,
            f"{self._base}/{version}/listen?{listen_query(self._parameters, audio_format)}",
            headers=[("Authorization", f"Token {self._key}")],
            tls=self._tls,
            proxy=self._proxy,
            connect_timeout=self._connect_timeout,
            max_size=_MAX_MESSAGE,
            ping_interval=_FLUX_PING if self._is_flux else 20.0,
            clock=self._clock,
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

    async def aclose(self) -> None:
        """Nothing is kept between sessions."""

    def _nova_parameters(self, language: str | None, keyterms: Sequence[str]) -> dict[str, Parameter]:
        terms = "keyterm" if self._model.startswith("nova-3") else "keywords"
        return {
            "model": self._model,
            "language": language or "en",
            terms: tuple(keyterms),
            "channels": 1,
            "interim_results": True,
            "vad_events": True,
        }

    def _flux_parameters(self, language: str | None, keyterms: Sequence[str]) -> dict[str, Parameter]:
        parameters: dict[str, Parameter] = {"model": self._model, "keyterm": tuple(keyterms)}
        if self._model == "flux-general-en":
            if language is not None and not language.lower().startswith("en"):
                raise InvalidConfig(
                    "language", f"{self._model} hears English; take flux-general-multi for {language!r}"
                )
        elif language not in {None, "multi"}:
            parameters["language_hint"] = language
        return parameters


def _check(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidConfig(name, f"must be between {least:g} and {most:g}, got {value!r}")
