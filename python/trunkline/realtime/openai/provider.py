"""OpenAI's Realtime API as a provider of sessions ("Realtime API with WebSocket")."""

import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, Unpack
from urllib.parse import quote, urlsplit
from uuid import uuid4

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import HistoryItem
from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.realtime.endpoint import checked_key, websocket_base
from trunkline.realtime.error_map import secrets_of
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.realtime.openai.handshake import wait_for_session
from trunkline.realtime.openai.session import CAPABILITIES, FLAT, OpenAIRealtimeSession
from trunkline.realtime.opening import open_session
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.stream import StreamContract
from trunkline.transport import MessageStream, connect_websocket, recorded
from trunkline.wire.realtime.openai.commands import update_session
from trunkline.wire.realtime.openai.decode import parse
from trunkline.wire.realtime.openai.events import SessionCreated, SessionUpdated
from trunkline.wire.realtime.openai.options import (
    DEFAULT_VOICE,
    SemanticVad,
    ServerVad,
    SessionOptions,
    Transcription,
    TurnDetection,
    refuse_unknown,
    session_object,
)
from trunkline.wire.realtime.openai.schema import check_session
from trunkline.wire.realtime.openai.session import FORMATS, PCM, VENDOR
from trunkline.wire.settings import merged

__all__ = [
    "OpenAIRealtimeFactory",
    "OpenAIRealtimeProvider",
    "SemanticVad",
    "ServerVad",
    "SessionOptions",
    "Transcription",
    "TurnDetection",
    "new_factory",
]

DEFAULT_MODEL = "gpt-realtime-2.1"
BASE_URL = "https://api.openai.com/v1"
SESSION_LIMIT = 3600.0
"""Seconds after which the vendor itself ends every session; other servers may have other limits."""
MAX_MESSAGE = 16 * 2**20
OLDER_DIALECT = ("OpenAI-Beta", "realtime=v1")
"""The header that asks for the older dialect."""

_NO_TEMPERATURE = "OpenAI's Realtime protocol has no such field; leave it None (servers of the older dialect have it)"


class OpenAIRealtimeProvider(StreamContract):
    """Sessions with OpenAI, or with a server that speaks the same protocol.

    What the constructor says holds for every session; a session's `ProcessConfig` goes before it, and its `extensions["openai"]`, fields
    of the vendor's own session object, before both; what is said for one answer (`create_response`) goes before all.

    Args:
        api_key: The key; the environment variable `OPENAI_API_KEY` if None. It is never shown.
        model: The vendor's name of the model.
        base_url: Where the API is; `http` and `ws` for this machine only.
        dialect: "ga", as the vendor speaks today, or "beta", as some other servers still do; None finds out by what the server says first.
        api_key_header: Which header carries the key: "Authorization" (as `Bearer`), or another that holds nothing else.
        organization: The organization to bill, if the key has several.
        project: The project to bill, likewise.
        safety_identifier: A stable, anonymous name of the end user.
        transcribe_output: Whether the model's words are passed on.
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
        dialect: Literal["ga", "beta"] | None = None,
        api_key_header: str = "Authorization",
        organization: str | None = None,
        project: str | None = None,
        safety_identifier: str | None = None,
        transcribe_output: bool = True,
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
        if dialect not in {None, "ga", "beta"}:
            raise InvalidConfig("dialect", f"must be ga, beta or None, got {dialect!r}")
        self._api_key = checked_key(api_key, "OPENAI_API_KEY")
        self._model = model
        self._base_url = base_url
        self._url = f"{websocket_base(base_url)}/realtime?model={quote(model, safe='')}"
        self._dialect = dialect
        self._api_key_header = api_key_header
        self._identity = {
            "OpenAI-Organization": organization,
            "OpenAI-Project": project,
            "OpenAI-Safety-Identifier": safety_identifier,
        }
        self._transcribe_output = transcribe_output
        self._tls = tls
        self._proxy = proxy
        self._record = record
        self._connect_timeout = connect_timeout
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._clock = clock
        self._options = session
        self._errors = ErrorMap(self._api_key)
        self._limit = SESSION_LIMIT if urlsplit(base_url).hostname == urlsplit(BASE_URL).hostname else None
        self._session_object(ProcessConfig())  # so that a bad option is refused here

    @classmethod
    def azure(cls, resource: str, *, deployment: str, api_key: str | None = None, **options: Any) -> Self:
        """Sessions with a deployment on Azure OpenAI, which speaks the same protocol at an address of its own.

        Args:
            resource: The resource's name, the first part of its address, or the whole address `https://….openai.azure.com`.
            deployment: The deployment's name, which stands for the model.
            api_key: The resource's key; the environment variable `AZURE_OPENAI_API_KEY` if None.
            options: Further arguments of the constructor.

        Raises:
            InvalidConfig: As the constructor; or the resource is neither a name nor an address.
        """
        key = checked_key(api_key, "AZURE_OPENAI_API_KEY")
        origin = resource.rstrip("/")
        if re.fullmatch(r"[A-Za-z0-9-]+", resource):
            origin = f"https://{resource}.openai.azure.com"
        elif "://" not in resource:
            raise InvalidConfig("resource", f"must be a name or an https address, got {resource!r}")
        options = {"api_key_header": "api-key", **options}
        return cls(api_key=key, model=deployment, base_url=f"{origin}/openai/v1", **options)

    def __repr__(self) -> str:
        voice = self._options.get("voice", DEFAULT_VOICE)
        return f"OpenAIRealtimeProvider(model={self._model!r}, voice={voice!r}, base_url={self._base_url!r})"

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
        """What its sessions can do at best."""
        return CAPABILITIES

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[OpenAIRealtimeSession]:
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
        wanted = self._session_object(config)
        opening = open_session(
            self._dial,
            lambda stream: self._set_up(stream, wanted, config.history),
            refused=self._errors.refused,
            timeout=self._connect_timeout,
            clock=self._clock,
        )
        async with opening as session:
            yield session

    def _dial(self) -> AbstractAsyncContextManager[MessageStream]:
        bearer = self._api_key_header.lower() == "authorization"
        headers = [(self._api_key_header, f"Bearer {self._api_key}" if bearer else self._api_key)]
        headers += [(name, value) for name, value in self._identity.items() if value]
        if self._dialect == "beta":
            headers.append(OLDER_DIALECT)
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
        self, stream: MessageStream, wanted: Mapping[str, Any], history: Sequence[HistoryItem]
    ) -> OpenAIRealtimeSession:
        created = await wait_for_session(stream, SessionCreated, parse, self._errors)
        is_flat = created.is_flat if self._dialect is None else self._dialect == "beta"
        await stream.send(update_session(FLAT.session(wanted) if is_flat else wanted))
        info = await wait_for_session(stream, SessionUpdated, parse, self._errors)
        info = replace(
            info,
            session_id=info.session_id or created.session_id or f"session-{uuid4().hex}",
            expires_at=info.expires_at or created.expires_at,
            is_flat=is_flat,
        )
        session = OpenAIRealtimeSession(
            stream,
            info,
            transcribe_output=self._transcribe_output,
            errors=self._errors,
            clock=self._clock,
            limit=self._limit,
        )
        await session.seed(history)
        return session

    def _session_object(self, config: ProcessConfig) -> dict[str, Any]:
        options = self._options.copy()
        if config.voice is not None:
            options["voice"] = config.voice
        if config.instructions is not None:
            options["instructions"] = config.instructions
        if config.temperature is not None:
            options["temperature"] = config.temperature
        if options.get("temperature") is not None and self._dialect != "beta":
            raise InvalidConfig("temperature", _NO_TEMPERATURE)
        wanted = session_object(
            options,
            input_format=_format(config.input_format),
            output_format=_format(config.output_format),
            tools=config.definitions,
        )
        extension = config.extensions.get(VENDOR, {})
        if not isinstance(extension, Mapping):
            raise InvalidConfig(f"extensions[{VENDOR!r}]", "must be a mapping of session fields")
        if isinstance(extension.get("tools"), list | tuple):
            extension = {**extension, "tools": [*wanted.get("tools", ()), *extension["tools"]]}
        wanted = merged(wanted, extension)
        check_session(wanted, flat=self._dialect == "beta")
        if not config.allow_interruption and wanted["audio"]["input"]["turn_detection"] is not None:
            wanted = merged(wanted, {"audio": {"input": {"turn_detection": {"interrupt_response": False}}}})
        if self._dialect == "beta":
            FLAT.session(wanted)  # refused now rather than once the line is open
        return wanted


class OpenAIRealtimeFactory:
    """Makes providers of a `RealtimeConfig`.

    Args:
        options: Constructor arguments that every provider gets; what a configuration sets goes before them.
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
        if config.temperature is not None and self._options.get("dialect") != "beta":
            raise InvalidConfig("temperature", _NO_TEMPERATURE)
        options: dict[str, Any] = dict(self._options)
        if config.vad_mode is not VADMode.SERVER:
            options["turn_detection"] = None
        elif turn_detection := _turn_detection(config):
            options["turn_detection"] = turn_detection
        if config.transcribe_input is False:
            options["transcription"] = None
        given = {
            "max_output_tokens": config.max_tokens,
            "transcribe_output": config.transcribe_output,
            "api_key": config.api_key,
            "model": config.model,
            "voice": config.voice,
            "instructions": config.instructions,
        }
        options |= {name: value for name, value in given.items() if value is not None}
        return OpenAIRealtimeProvider(**options)


def new_factory(**options: Any) -> OpenAIRealtimeFactory:
    """What makes providers of a `RealtimeConfig`; as `OpenAIRealtimeProvider.factory`."""
    return OpenAIRealtimeFactory(**options)


def _turn_detection(config: RealtimeConfig) -> ServerVad | None:
    numbers: dict[str, Any] = {
        "threshold": config.vad_threshold,
        "prefix_padding_ms": config.vad_prefix_padding_ms,
        "silence_duration_ms": config.vad_silence_duration_ms,
    }
    numbers = {name: value for name, value in numbers.items() if value is not None}
    return ServerVad(**numbers) if numbers else None


def _format(wanted: AudioFormat | None) -> AudioFormat:
    return PCM if wanted is None or wanted not in FORMATS else wanted
