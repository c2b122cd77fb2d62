"""Qwen-Omni-Realtime of Alibaba Cloud Model Studio (DashScope) as a provider of sessions."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, Self, Unpack
from urllib.parse import quote, urlsplit
from uuid import uuid4

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.realtime.endpoint import checked_key, websocket_base
from trunkline.realtime.error_map import secrets_of
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.realtime.openai.handshake import wait_for_session
from trunkline.realtime.opening import open_session
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.qwen.session import QwenRealtimeSession, capabilities_of
from trunkline.realtime.stream import StreamContract
from trunkline.transport import MessageStream, connect_websocket, recorded
from trunkline.wire.realtime.openai.commands import update_session
from trunkline.wire.realtime.openai.events import SessionCreated, SessionUpdated
from trunkline.wire.realtime.qwen import errors as qwen_errors
from trunkline.wire.realtime.qwen.decode import parse
from trunkline.wire.realtime.qwen.history import instructions_with_history
from trunkline.wire.realtime.qwen.schema import check_session
from trunkline.wire.realtime.qwen.session import VENDOR, SessionOptions, TurnDetection, check_model, session_object
from trunkline.wire.settings import merged

DEFAULT_MODEL: Final = "qwen3.5-omni-flash-realtime"
REGIONS: Final = {
    "mainland": "https://dashscope.aliyuncs.com/api-ws/v1",
    "international": "https://dashscope-intl.aliyuncs.com/api-ws/v1",
    "hongkong": "https://cn-hongkong.dashscope.aliyuncs.com/api-ws/v1",
}
"""Where the service is; a key belongs to one of them."""
SESSION_LIMIT: Final = 7200.0
"""Seconds after which the service itself ends every session."""
MAX_MESSAGE: Final = 16 * 2**20


class QwenRealtimeProvider(StreamContract):
    """Sessions with Qwen-Omni-Realtime.

    What the constructor says holds for every session; a session's `ProcessConfig` goes before it, and its `extensions["qwen"]`, fields of
    the service's own session object, before both; what is said for one answer (`create_response`) goes before all.

    Args:
        api_key: The key; the environment variable `DASHSCOPE_API_KEY` if None. It is never shown.
        model: The service's name of the model.
        region: Where the key belongs: "mainland", "international" or "hongkong".
        base_url: Where the service is, in place of a region's address; `http` and `ws` for this machine only.
        workspace: The workspace to work in, if the key has several.
        transcribe_output: Whether the model's words are passed on.
        tls: What to trust; the system's certificates if None.
        record: A file for every message both ways, as JSON lines without secrets; a further session writes a file beside it.
        proxy: The address of an HTTP proxy, with its user and password if it needs them; None for none, "environment" for what
            `HTTPS_PROXY` and `NO_PROXY` say.
        connect_timeout: Seconds for connection, handshake and session setup together.
        ping_interval: Seconds of silence before the service is pinged; None for never.
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
        region: Literal["mainland", "international", "hongkong"] = "mainland",
        base_url: str | None = None,
        workspace: str | None = None,
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
        for name in session:
            if name not in SessionOptions.__annotations__:
                known = ", ".join(sorted(SessionOptions.__annotations__))
                raise InvalidConfig(name, f"there is no such option; for the session there are {known}")
        if region not in REGIONS:
            raise InvalidConfig("region", f"must be one of {', '.join(REGIONS)}, got {region!r}")
        self._api_key = checked_key(api_key, "DASHSCOPE_API_KEY")
        self._model = model
        self._base_url = (base_url or REGIONS[region]).rstrip("/").removesuffix("/realtime")
        self._url = f"{websocket_base(self._base_url)}/realtime?model={quote(model, safe='')}"
        self._workspace = workspace
        self._transcribe_output = transcribe_output
        self._tls = tls
        self._proxy = proxy
        self._record = record
        self._connect_timeout = connect_timeout
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._clock = clock
        self._options = session
        self._errors = ErrorMap(self._api_key, qwen_errors)
        self._limit = SESSION_LIMIT if (urlsplit(self._url).hostname or "").endswith(".aliyuncs.com") else None
        self._session_object(ProcessConfig())  # so that a bad option is refused here

    @classmethod
    def for_workspace(cls, workspace: str, *, region: str = "cn-beijing", **options: Any) -> Self:
        """Sessions through a workspace's own gateway.

        Args:
            workspace: The workspace's id, the first part of its address.
            region: `cn-beijing`, `ap-southeast-1`, `cn-hongkong`, `us-east-1`, `eu-central-1`, `ap-northeast-1`.
            options: Further arguments of the constructor.

        Raises:
            InvalidConfig: As the constructor; or one of them cannot be part of an address.
        """
        for name, value in (("workspace", workspace), ("region", region)):
            if not (value.isascii() and value.replace("-", "").replace("_", "").isalnum()):
                raise InvalidConfig(name, f"cannot be part of an address: {value!r}")
        return cls(base_url=f"https://{workspace}.{region}.maas.aliyuncs.com/api-ws/v1", **options)

    def __repr__(self) -> str:
        return f"QwenRealtimeProvider(model={self._model!r}, base_url={self._base_url!r})"

    @staticmethod
    def factory(**options: Any) -> "QwenRealtimeFactory":
        """What makes providers of a `RealtimeConfig`; `options` are constructor arguments that all of them get."""
        return QwenRealtimeFactory(**options)

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    @property
    def capabilities(self) -> Capabilities:
        """What its sessions can do at best."""
        return capabilities_of(self._model)

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[QwenRealtimeSession]:
        """Open a session: `async with provider.connect(config) as session`; leaving the block closes it.

        Leave the block in the task and the cancel scope in which you entered it.

        Raises:
            InvalidConfig: The configuration asks for what the service does not have.
            AuthFailed: The key was refused.
            trunkline.errors.RateLimited: Too many requests, or the quota is used up.
            ModelUnavailable: There is no such model for this key.
            RequestRejected: The service refused the session's settings.
            ProviderUnavailable: The service is down.
            ConnectionFailed: The service could not be reached, or had no session ready in time.
        """
        if config.resume_handle is not None:
            raise InvalidConfig("resume_handle", "this service takes no session up again")
        wanted = self._session_object(config)
        opening = open_session(
            self._dial,
            lambda stream: self._set_up(stream, wanted, config),
            refused=self._errors.refused,
            timeout=self._connect_timeout,
            clock=self._clock,
        )
        async with opening as session:
            yield session

    def _dial(self) -> AbstractAsyncContextManager[MessageStream]:
        headers = [("Authorization", f"Bearer {self._api_key}")]
        if self._workspace:
            headers.append(("X-DashScope-WorkSpace", self._workspace))
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
        self, stream: MessageStream, wanted: Mapping[str, Any], config: ProcessConfig
    ) -> QwenRealtimeSession:
        created = await wait_for_session(stream, SessionCreated, parse, self._errors)
        await stream.send(update_session(wanted))
        info = await wait_for_session(stream, SessionUpdated, parse, self._errors)
        info = replace(info, session_id=info.session_id or created.session_id or f"session-{uuid4().hex}")
        return QwenRealtimeSession(
            stream,
            info,
            model=self._model,
            errors=self._errors,
            history=config.history,
            modalities=wanted["modalities"],
            transcribe_output=self._transcribe_output,
            clock=self._clock,
            limit=self._limit,
        )

    def _session_object(self, config: ProcessConfig) -> dict[str, Any]:
        options = self._options.copy()
        if config.voice is not None:
            options["voice"] = config.voice
        if config.instructions is not None:
            options["instructions"] = config.instructions
        if config.history:
            options["instructions"] = instructions_with_history(options.get("instructions") or "", config.history)
        if config.temperature is not None:
            options["temperature"] = config.temperature
        wanted = session_object(
            options,
            model=self._model,
            input_format=config.input_format,
            output_format=config.output_format,
            tools=config.definitions,
        )
        extension = config.extensions.get(VENDOR, {})
        if not isinstance(extension, Mapping):
            raise InvalidConfig(f"extensions[{VENDOR!r}]", "must be a mapping of session fields")
        if isinstance(extension.get("tools"), list | tuple):
            extension = {**extension, "tools": [*wanted.get("tools", ()), *extension["tools"]]}
        wanted = merged(wanted, extension)
        check_session(wanted)
        check_model(wanted, self._model)
        if not config.allow_interruption and wanted["turn_detection"] is not None:
            wanted = merged(wanted, {"turn_detection": {"interrupt_response": False}})
        return wanted


class QwenRealtimeFactory:
    """Makes providers of a `RealtimeConfig`.

    Args:
        options: Constructor arguments that every provider gets; what a configuration sets goes before them.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return VENDOR

    def create(self, config: RealtimeConfig) -> QwenRealtimeProvider:
        """A provider as configured; what is about one session (functions, …) is in `config.to_process_config()`.

        Raises:
            InvalidConfig: The configuration is for another vendor, or asks for what this one does not have.
        """
        if config.provider.lower() not in {"", VENDOR}:
            raise InvalidConfig("provider", f"is {config.provider!r}, but this is the factory of {VENDOR!r}")
        options: dict[str, Any] = dict(self._options)
        if config.vad_mode is not VADMode.SERVER:
            options["turn_detection"] = None
        elif turn_detection := _turn_detection(config):
            options["turn_detection"] = turn_detection
        given = {
            "transcription": config.transcribe_input,
            "transcribe_output": config.transcribe_output,
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "api_key": config.api_key,
            "model": config.model,
            "voice": config.voice,
            "instructions": config.instructions,
        }
        options |= {name: value for name, value in given.items() if value is not None}
        return QwenRealtimeProvider(**options)


def new_factory(**options: Any) -> QwenRealtimeFactory:
    """What makes providers of a `RealtimeConfig`; as `QwenRealtimeProvider.factory`."""
    return QwenRealtimeFactory(**options)


def _turn_detection(config: RealtimeConfig) -> TurnDetection | None:
    numbers: dict[str, Any] = {
        "threshold": config.vad_threshold,
        "prefix_padding_ms": config.vad_prefix_padding_ms,
        "silence_duration_ms": config.vad_silence_duration_ms,
    }
    numbers = {name: value for name, value in numbers.items() if value is not None}
    return TurnDetection(**numbers) if numbers else None
