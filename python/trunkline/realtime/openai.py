"""OpenAI's Realtime API as a provider of sessions ("Realtime API with WebSocket")."""

import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import HistoryItem
from trunkline.errors import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    InvalidConfig,
    ProviderError,
    RemoteProtocolError,
    TransportError,
)
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.realtime.openai_session import CAPABILITIES, OpenAIRealtimeSession
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.transport import MessageStream, connect_websocket
from trunkline.wire.realtime.openai import parse
from trunkline.wire.realtime.openai_commands import update_session
from trunkline.wire.realtime.openai_errors import error_from, error_from_close, error_from_status
from trunkline.wire.realtime.openai_events import ErrorReceived, ServerEvent, SessionCreated, SessionUpdated
from trunkline.wire.realtime.openai_session import (
    FORMATS,
    MAX_OUTPUT_TOKENS,
    PCM,
    VENDOR,
    SemanticVad,
    ServerVad,
    SessionInfo,
    TurnDetection,
    session_object,
)

__all__ = ["OpenAIRealtimeFactory", "OpenAIRealtimeProvider", "SemanticVad", "ServerVad", "TurnDetection"]

DEFAULT_MODEL = "gpt-realtime-2.1"
DEFAULT_VOICE = "marin"
DEFAULT_TRANSCRIPTION_MODEL = "gpt-realtime-whisper"
BASE_URL = "https://api.openai.com/v1"

_SERVER_VAD = ServerVad()


class OpenAIRealtimeProvider:
    """Sessions with OpenAI, or with a server that speaks the same protocol.

    Args:
        api_key: The key; the environment variable `OPENAI_API_KEY` if None. It is never shown.
        model: The vendor's name of the model.
        voice: The vendor's name of the voice.
        instructions: System prompt; None leaves the vendor's own.
        base_url: Where the API is; `http` and `ws` for this machine only.
        turn_detection: Who ends the user's turn: `ServerVad`, `SemanticVad`, or None for `commit_audio` by hand.
        transcription_model: What writes down the user's words; None for no user transcripts.
        transcribe_output: Whether the model's words are told.
        max_output_tokens: Most tokens of one answer, 1 to 4096; None for the model's own limit.
        organization: The organization to bill, if the key has several.
        project: The project to bill, likewise.
        tls: What to trust; the system's certificates if None.
        connect_timeout: Seconds for connection, handshake and session setup together.
        ping_interval: Seconds of silence before the vendor is pinged; None for never.
        ping_timeout: Seconds to wait for a sign of life after a ping.
        clock: Where time comes from.

    Raises:
        InvalidConfig: There is no key, or a value cannot be used.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str = DEFAULT_MODEL,
        voice: str = DEFAULT_VOICE,
        instructions: str | None = None,
        base_url: str = BASE_URL,
        turn_detection: TurnDetection | None = _SERVER_VAD,
        transcription_model: str | None = DEFAULT_TRANSCRIPTION_MODEL,
        transcribe_output: bool = True,
        max_output_tokens: int | None = None,
        organization: str | None = None,
        project: str | None = None,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 10.0,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._api_key = _checked_key(api_key or os.environ.get("OPENAI_API_KEY", ""))
        if max_output_tokens is not None and not 1 <= max_output_tokens <= MAX_OUTPUT_TOKENS:
            raise InvalidConfig("max_output_tokens", f"must be 1 to {MAX_OUTPUT_TOKENS}, got {max_output_tokens!r}")
        self._model = model
        self._voice = voice
        self._instructions = instructions
        self._base_url = base_url
        self._url = _websocket_url(base_url, model)
        self._turn_detection = turn_detection
        self._transcription_model = transcription_model
        self._transcribe_output = transcribe_output
        self._max_output_tokens = max_output_tokens
        self._organization = organization
        self._project = project
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._clock = clock

    def __repr__(self) -> str:
        return f"OpenAIRealtimeProvider(model={self._model!r}, voice={self._voice!r}, base_url={self._base_url!r})"

    @staticmethod
    def factory(**options: Any) -> "OpenAIRealtimeFactory":
        """What makes providers of a `RealtimeConfig`; `options` are constructor arguments that all of them get."""
        return OpenAIRealtimeFactory(**options)

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    @property
    def capabilities(self) -> Capabilities:
        """What its sessions can do."""
        return CAPABILITIES

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[OpenAIRealtimeSession]:
        """Open a session: `async with provider.connect(config) as session`; leaving the block closes it.

        Raises:
            InvalidConfig: The configuration asks for what the protocol does not have.
            AuthFailed: The key was refused.
            RateLimited: Too many requests, or the quota is used up.
            ModelUnavailable: There is no such model for this key.
            RequestRejected: The vendor refused the session's settings.
            ProviderUnavailable: The vendor is down.
            ConnectionFailed: The vendor could not be reached, or had no session ready in time.
        """
        wanted = self._session_object(config)
        async with AsyncExitStack() as stack:
            session: OpenAIRealtimeSession | None = None
            try:
                with self._clock.move_on_after(self._connect_timeout):
                    stream = await stack.enter_async_context(self._dial())
                    session = await self._set_up(stream, wanted, config.history)
                if session is None:
                    raise DeadlineExceeded("setting up a session", self._connect_timeout)
            except (TransportError, RemoteProtocolError) as error:
                raise self._refusal(error) from error
            try:
                yield session
            finally:
                await session.aclose()

    def _dial(self) -> AbstractAsyncContextManager[MessageStream]:
        headers = [("Authorization", f"Bearer {self._api_key}")]
        if self._organization:
            headers.append(("OpenAI-Organization", self._organization))
        if self._project:
            headers.append(("OpenAI-Project", self._project))
        return connect_websocket(
            self._url,
            headers=headers,
            tls=self._tls,
            connect_timeout=self._connect_timeout,
            ping_interval=self._ping_interval,
            ping_timeout=self._ping_timeout,
            clock=self._clock,
        )

    async def _set_up(
        self, stream: MessageStream, wanted: Mapping[str, Any], history: Sequence[HistoryItem]
    ) -> OpenAIRealtimeSession:
        created = await self._wait_for(stream, SessionCreated)
        await stream.send(update_session(wanted))
        info = await self._wait_for(stream, SessionUpdated)
        if not info.session_id:
            info = replace(info, session_id=created.session_id)
        session = OpenAIRealtimeSession(stream, info, transcribe_output=self._transcribe_output)
        await session.seed(history)
        return session

    async def _wait_for(self, stream: MessageStream, kind: type[SessionCreated | SessionUpdated]) -> SessionInfo:
        """Read up to an event, past those that other servers send first; an error here is a refusal."""
        while True:
            event: ServerEvent = parse(await stream.receive())
            if isinstance(event, ErrorReceived):
                raise error_from(replace(event.error, message=self._without_key(event.error.message)))
            if isinstance(event, kind):
                return event.session

    def _refusal(self, cause: TransportError | RemoteProtocolError) -> ProviderError:
        match cause:
            case HandshakeRejected(status=status, body=body, retry_after=retry_after):
                return error_from_status(status, self._without_key(body), retry_after=retry_after)
            case ConnectionLost(code=code, reason=reason):
                closed = "the vendor closed the connection before the session was ready"
                return error_from_close(code, self._without_key(reason)) or ConnectionFailed(closed, vendor=VENDOR)
            case DeadlineExceeded():
                return ConnectionFailed(str(cause), "timeout", vendor=VENDOR)
            case _:
                return ConnectionFailed(str(cause), vendor=VENDOR)

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "[hidden]")

    def _session_object(self, config: ProcessConfig) -> dict[str, Any]:
        if config.temperature is not None:
            raise InvalidConfig("temperature", "OpenAI's Realtime protocol has no such field; leave it None")
        extension = config.extensions.get(VENDOR, {})
        if not isinstance(extension, Mapping):
            raise InvalidConfig(f"extensions[{VENDOR!r}]", "must be a mapping of session fields")
        wanted = session_object(
            voice=config.voice or self._voice,
            input_format=_format(config.input_format),
            output_format=_format(config.output_format),
            instructions=self._instructions if config.instructions is None else config.instructions,
            turn_detection=self._turn_detection,
            transcription_model=self._transcription_model,
            tools=config.functions,
            max_output_tokens=self._max_output_tokens,
        )
        return _merged(wanted, extension)


class OpenAIRealtimeFactory:
    """Makes providers of a `RealtimeConfig`.

    Args:
        options: Constructor arguments that every provider gets: the key, model, voice and instructions of a configuration go before
            them, and they before what the configuration only has as a default (turn detection, token limit, transcripts).
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    def create(self, config: RealtimeConfig) -> OpenAIRealtimeProvider:
        """A provider as configured; what is about one session (functions, …) is in `config.to_process_config()`.

        Raises:
            InvalidConfig: The configuration is for another vendor, or asks for what this one does not have.
        """
        if config.provider.lower() not in {"", VENDOR}:
            raise InvalidConfig("provider", f"is {config.provider!r}, but this is the factory of {VENDOR!r}")
        if config.temperature is not None:
            raise InvalidConfig("temperature", "OpenAI's Realtime protocol has no such field; leave it None")
        options: dict[str, Any] = {
            "turn_detection": _turn_detection(config),
            "max_output_tokens": config.max_tokens,
            "transcribe_output": config.transcribe_output,
            **self._options,
        }
        if not config.transcribe_input:
            options["transcription_model"] = None
        said = {
            "api_key": config.api_key,
            "model": config.model,
            "voice": config.voice,
            "instructions": config.instructions,
        }
        options |= {name: value for name, value in said.items() if value is not None}
        return OpenAIRealtimeProvider(**options)


def _turn_detection(config: RealtimeConfig) -> ServerVad | None:
    if config.vad_mode is not VADMode.SERVER:
        return None
    return ServerVad(
        threshold=config.vad_threshold,
        prefix_padding_ms=config.vad_prefix_padding_ms,
        silence_duration_ms=config.vad_silence_duration_ms,
    )


def _format(wish: AudioFormat | None) -> AudioFormat:
    return PCM if wish is None or wish not in FORMATS else wish


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, objects within objects likewise; where they differ `more` holds. An object of another `type` replaces the whole."""
    merged = dict(base)
    for name, value in more.items():
        known = merged.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping) and value.get("type") in {None, known.get("type")}:
            merged[name] = _merged(known, value)
        else:
            merged[name] = value
    return merged


def _checked_key(api_key: str) -> str:
    if not api_key:
        raise InvalidConfig("api_key", "pass one, or set the environment variable OPENAI_API_KEY")
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise InvalidConfig("api_key", "holds characters that a key cannot have")
    return api_key


def _websocket_url(base_url: str, model: str) -> str:
    address = urlsplit(base_url)
    if address.username is not None or address.query or address.fragment:
        raise InvalidConfig("base_url", "must be an address without user, query and fragment")
    if not address.hostname or address.scheme not in {"http", "https", "ws", "wss"}:
        raise InvalidConfig("base_url", f"must be an https or wss address, got {base_url!r}")
    secure = address.scheme in {"https", "wss"}
    if not secure and not _is_loopback(address.hostname):
        raise InvalidConfig("base_url", f"must be https or wss, as {address.hostname!r} is not this machine")
    scheme = "wss" if secure else "ws"
    return f"{scheme}://{address.netloc}{address.path.rstrip('/')}/realtime?model={quote(model, safe='')}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
