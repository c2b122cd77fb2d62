"""Google's Gemini Live API as a provider of sessions."""

import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Unpack
from uuid import uuid4

from trunkline.audio import AudioFormat, Encoding
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import (
    ConnectionLost,
    InvalidConfig,
    RemoteProtocolError,
)
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.realtime.endpoint import checked_key, websocket_base
from trunkline.realtime.error_map import ConnectionErrors, secrets_of
from trunkline.realtime.events import SessionReady
from trunkline.realtime.gemini.inbound import OUTPUT
from trunkline.realtime.gemini.session import GeminiRealtimeSession, SessionTerms
from trunkline.realtime.opening import open_session
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.stream import StreamContract
from trunkline.transport import MessageStream, connect_websocket, recorded
from trunkline.wire.realtime.gemini import commands as command
from trunkline.wire.realtime.gemini import errors as vendor_errors
from trunkline.wire.realtime.gemini.decode import VENDOR, parse
from trunkline.wire.realtime.gemini.events import SetupComplete
from trunkline.wire.realtime.gemini.schema import check_setup
from trunkline.wire.realtime.gemini.setup import (
    DEFAULT_MODEL,
    AutomaticActivity,
    ContextCompression,
    SessionOptions,
    refuse_unknown,
    setup_object,
    takes_history,
    waits_for_tools,
)
from trunkline.wire.settings import merged

__all__ = [
    "AutomaticActivity",
    "ContextCompression",
    "GeminiRealtimeFactory",
    "GeminiRealtimeProvider",
    "SessionOptions",
]

log = logging.getLogger(__name__)

BASE_URL: Final = "https://generativelanguage.googleapis.com"
MAX_MESSAGE: Final = 16 * 2**20
TOKEN: Final = "auth_tokens/"  # noqa: S105 - what the name of an ephemeral token begins with
INPUT: Final = AudioFormat(encoding="linear16", sample_rate=16_000)
INPUT_RATES: Final = (8_000, 16_000, 24_000, 48_000)
"""Hertz of linear16 audio that the vendor is known to take; it converts all but 16,000 itself."""

CLOSING_TURN: Final = "(The conversation goes on from here.)"
"""Ends a history for models that want it to end with the user."""

CAPABILITIES: Final = Capabilities(
    input_rate=INPUT.sample_rate,
    output_rate=OUTPUT.sample_rate,
    reports_speech=False,
    commit=True,
    interrupts_itself=True,
    answers_turns=True,
    resume=True,
)
"""What a session with the default model can do at best."""


class GeminiRealtimeProvider(StreamContract):
    """Sessions with Gemini Live.

    What the constructor says holds for every session; a session's `ProcessConfig` goes before it, and its `extensions["gemini"]`, fields
    of the vendor's own `setup`, before both.

    Args:
        api_key: The key, or an ephemeral token (`auth_tokens/…`); the environment variable `GEMINI_API_KEY`, then `GOOGLE_API_KEY`, if
            None. It is sent as a header and never shown.
        model: The vendor's name of the model, with or without `models/`.
        base_url: Where the API is; `http` and `ws` for this machine only.
        api_version: "v1", "v1beta" or "v1alpha"; None for v1beta, and v1alpha with an ephemeral token.
        transcribe_output: Whether the model's words are told.
        text_as: How texts are sent: "content" as turns of the conversation, "activity" as if the user had spoken, for models that do not
            answer the former.
        tls: What to trust; the system's certificates if None.
        record: A file for every message both ways, as JSON lines without secrets; a further session writes a file beside it.
        proxy: The address of an HTTP proxy, with its user and password if it needs them; None for none, "environment" for what
            `HTTPS_PROXY` and `NO_PROXY` say.
        connect_timeout: Seconds for connection, handshake and session setup together.
        ping_interval: Seconds of silence before the vendor is pinged; None for never.
        ping_timeout: Seconds to wait for a sign of life after a ping; None for ever.
        clock: Where time comes from.
        session: How sessions should be: voice, instructions, turn detection and the rest of `SessionOptions`.

    Raises:
        InvalidConfig: There is no key, no such option, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str = DEFAULT_MODEL,
        base_url: str = BASE_URL,
        api_version: Literal["v1", "v1beta", "v1alpha"] | None = None,
        transcribe_output: bool = True,
        text_as: Literal["content", "activity"] = "content",
        tls: ssl.SSLContext | None = None,
        proxy: str | None = "environment",
        record: str | Path | None = None,
        connect_timeout: float = 10.0,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        clock: Clock = SYSTEM_CLOCK,
        **session: Unpack[SessionOptions],
    ) -> None:
        refuse_unknown(session)
        if api_version not in {None, "v1", "v1beta", "v1alpha"}:
            raise InvalidConfig("api_version", f"must be v1, v1beta, v1alpha or None, got {api_version!r}")
        if text_as not in {"content", "activity"}:
            raise InvalidConfig("text_as", f"must be content or activity, got {text_as!r}")
        self._api_key = checked_key(api_key, "GEMINI_API_KEY", "GOOGLE_API_KEY")
        self._model = model
        self._base_url = base_url
        self._url = _method_url(base_url, api_version, is_token=self._api_key.startswith(TOKEN))
        self._transcribe_output = transcribe_output
        self._text_as = text_as
        self._tls = tls
        self._proxy = proxy
        self._record = record
        self._connect_timeout = connect_timeout
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._clock = clock
        self._options = session
        self._errors = ConnectionErrors(VENDOR, vendor_errors, self._api_key)
        self._setup(ProcessConfig())  # so that a bad option is refused here

    def __repr__(self) -> str:
        return f"GeminiRealtimeProvider(model={self._model!r}, base_url={self._base_url!r})"

    @staticmethod
    def factory(**options: Any) -> "GeminiRealtimeFactory":
        """What makes providers of a `RealtimeConfig`; `options` are constructor arguments that all of them get."""
        return GeminiRealtimeFactory(**options)

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    @property
    def capabilities(self) -> Capabilities:
        """What its sessions can do at best."""
        return replace(
            CAPABILITIES,
            speaks_during_calls=not waits_for_tools(self._model, self._options.get("tool_behavior")),
            update_instructions=takes_history(self._model),
            resume=self._options.get("resumption", True),
        )

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[GeminiRealtimeSession]:
        """Open a session: `async with provider.connect(config) as session`; leaving the block closes it.

        Leave the block in the task and the cancel scope in which you entered it.

        Raises:
            InvalidConfig: The configuration asks for what the protocol does not have.
            AuthFailed: The key was refused.
            trunkline.errors.RateLimited: Too many requests, or the quota is used up.
            ModelUnavailable: There is no such model for this key.
            RequestRejected: The vendor refused the session's settings.
            ProviderUnavailable: The vendor is down.
            ConnectionFailed: The vendor could not be reached, or had no session ready in time.
        """
        wanted = self._setup(config)
        handles = [None] if config.resume_handle is None else [config.resume_handle, None]
        opening = open_session(
            self._dial,
            *(partial(self._set_up, wanted=wanted, config=config, handle=handle) for handle in handles),
            refused=self._errors.refused,
            timeout=self._connect_timeout,
            clock=self._clock,
        )
        async with opening as session:
            yield session

    def _dial(self) -> AbstractAsyncContextManager[MessageStream]:
        headers = [("x-goog-api-key", self._api_key)]
        if self._api_key.startswith(TOKEN):
            headers = [("Authorization", f"Token {self._api_key}")]
        connecting = connect_websocket(
            self._url,
            headers=headers,
            tls=self._tls,
            proxy=self._proxy,
            connect_timeout=self._connect_timeout,
            max_size=MAX_MESSAGE,
            ping_interval=self._ping_interval,
            ping_timeout=self._ping_timeout,
            clock=self._clock,
        )
        return recorded(connecting, self._record, secrets=secrets_of(self._api_key), clock=self._clock)

    async def _set_up(
        self, stream: MessageStream, *, wanted: dict[str, Any], config: ProcessConfig, handle: str | None
    ) -> GeminiRealtimeSession | None:
        """A session; None if the vendor refuses to take the earlier one up."""
        told = command.history_turns(config.history) if handle is None else []
        at_once = takes_history(self._model)
        if handle is not None:
            wanted = {**wanted, "sessionResumption": {**wanted.get("sessionResumption", {}), "handle": handle}}
        elif told and at_once:
            wanted = {**wanted, "historyConfig": {"initialHistoryInClientContent": True}}
        await stream.send(command.setup(wanted))
        try:
            message, complete = await _setup_complete(stream)
        except ConnectionLost as refusal:
            if handle is None or not vendor_errors.refuses_handle(refusal.code, refusal.reason):
                raise
            log.info("the vendor does not take the earlier session up; a new one is told the history")
            return None
        terms = self._terms(wanted, config)
        ready = SessionReady(
            complete.session_id or f"session-{uuid4().hex}",
            terms.input_format,
            OUTPUT,
            wanted["model"].rpartition("/")[2],
            resumed=handle is not None,
        )
        session = GeminiRealtimeSession(stream, ready, terms, errors=self._errors, clock=self._clock)
        session.take(message)  # it may say more
        if told:
            if not at_once and told[-1]["role"] != "user":
                told.append(command.content("user", CLOSING_TURN))
            await session.seed(told, complete=at_once)
        return session

    def _terms(self, wanted: Mapping[str, Any], config: ProcessConfig) -> SessionTerms:
        """What the session can do, by what it was set up with: the vendor confirms nothing of it."""
        listening = wanted.get("realtimeInputConfig", {})
        by_hand = listening.get("automaticActivityDetection", {}).get("disabled", False)
        interrupts = listening.get("activityHandling") != "NO_INTERRUPTION"
        return SessionTerms(
            capabilities=replace(
                self.capabilities, commit=by_hand, interrupts_itself=interrupts, resume="sessionResumption" in wanted
            ),
            input_format=_input_format(config.input_format),
            by_hand=by_hand,
            speaks=wanted["generationConfig"]["responseModalities"] == ["AUDIO"],
            as_activity=self._text_as == "activity",
        )

    def _setup(self, config: ProcessConfig) -> dict[str, Any]:
        options = self._options.copy()
        if config.voice is not None:
            options["voice"] = config.voice
        if config.instructions is not None:
            options["instructions"] = config.instructions
        if config.temperature is not None:
            options["temperature"] = config.temperature
        if not config.allow_interruption:
            options["interrupts"] = False
        wanted = setup_object(self._model, options, transcribe_output=self._transcribe_output, tools=config.definitions)
        extension = config.extensions.get(VENDOR, {})
        if not isinstance(extension, Mapping):
            raise InvalidConfig(f"extensions[{VENDOR!r}]", "must be a mapping of the fields of setup")
        if isinstance(extension.get("tools"), list | tuple):
            extension = {**extension, "tools": [*wanted.get("tools", ()), *extension["tools"]]}
        wanted = merged(wanted, extension)
        check_setup(wanted)
        if config.resume_handle is not None and "sessionResumption" not in wanted:
            raise InvalidConfig("resume_handle", "the provider was built with resumption=False")
        return wanted


class GeminiRealtimeFactory:
    """Makes providers of a `RealtimeConfig`.

    Args:
        options: Constructor arguments that every provider gets; what a configuration sets goes before them.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    def create(self, config: RealtimeConfig) -> GeminiRealtimeProvider:
        """A provider as configured; what is about one session (functions, …) is in `config.to_process_config()`.

        Raises:
            InvalidConfig: The configuration is for another vendor, or asks for what this one does not have.
        """
        if config.provider.lower() not in {"", VENDOR}:
            raise InvalidConfig("provider", f"is {config.provider!r}, but this is the factory of {VENDOR!r}")
        if config.vad_threshold is not None:
            raise InvalidConfig("vad_threshold", "the vendor has no threshold; set start_sensitivity instead")
        options: dict[str, Any] = dict(self._options)
        if config.vad_mode is not VADMode.SERVER:
            options["turn_detection"] = None
        elif config.vad_prefix_padding_ms is not None or config.vad_silence_duration_ms is not None:
            options["turn_detection"] = AutomaticActivity(
                prefix_padding_ms=config.vad_prefix_padding_ms, silence_duration_ms=config.vad_silence_duration_ms
            )
        if config.transcribe_input is not None:
            options["transcription"] = config.transcribe_input
        given = {
            "max_output_tokens": config.max_tokens,
            "transcribe_output": config.transcribe_output,
            "api_key": config.api_key,
            "model": config.model,
            "voice": config.voice,
            "instructions": config.instructions,
            "temperature": config.temperature,
        }
        options |= {name: value for name, value in given.items() if value is not None}
        return GeminiRealtimeProvider(**options)


async def _setup_complete(stream: MessageStream) -> tuple[str | bytes, SetupComplete]:
    """The message that takes the setup, past those that are something else.

    Raises:
        TransportError: The connection ended, as the vendor's refusals do.
    """
    while True:
        message = await stream.receive()
        try:
            told = parse(message)
        except RemoteProtocolError as error:
            log.warning("passed over while a session is set up: %s", error)
            continue
        for event in told:
            if isinstance(event, SetupComplete):
                return message, event


def _method_url(base_url: str, api_version: str | None, *, is_token: bool) -> str:
    version = api_version or ("v1alpha" if is_token else "v1beta")
    method = "BidiGenerateContentConstrained" if is_token else "BidiGenerateContent"
    return f"{websocket_base(base_url)}/ws/google.ai.generativelanguage.{version}.GenerativeService.{method}"


def _input_format(wanted: AudioFormat | None) -> AudioFormat:
    if wanted is None or wanted.channels != 1 or wanted.encoding is not Encoding.LINEAR16:
        return INPUT
    return wanted if wanted.sample_rate in INPUT_RATES else INPUT
