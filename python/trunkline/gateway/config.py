"""How a gateway is set up: one model, checked as a whole when it is built."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, ValidationError, ValidationInfo, field_validator

from trunkline.errors import InvalidConfig
from trunkline.gateway.addresses import is_written_plainly, listening_address, normalized_url
from trunkline.loopback import is_loopback
from trunkline.pipeline import InterruptionMode, InterruptionPolicy
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory
from trunkline.realtime.provider import RealtimeProvider
from trunkline.tools import ToolDefinition, ToolHandler
from trunkline.tools.compiled import CompiledTools

Logger = logging.Logger | logging.LoggerAdapter[Any]


class PipelineMode(StrEnum):
    """How a call is answered."""

    TEXT = "text"
    """Speech to text, a language model, text to speech: any voice and any model, an answer after 500 to 1,000 ms."""
    REALTIME = "realtime"
    """Voice to voice by one model, an answer after 100 to 200 ms."""


class ProviderName(StrEnum):
    """The carriers' names, as in the registry."""

    TWILIO = "twilio"
    TELNYX = "telnyx"
    VONAGE = "vonage"
    PLIVO = "plivo"
    LIVEKIT = "livekit"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInfo:
    """A call before it is answered; `from_` and `to` are as the carrier writes them, mostly E.164.

    Attributes:
        parameters: What your `on_call` handler puts here goes with the call: to its session, and to the carrier where its media stream
            takes parameters (Twilio's `<Parameter>`).
    """

    call_id: str
    from_: str
    to: str
    direction: Literal["inbound", "outbound"]
    start_time: datetime
    parameters: dict[str, str] = field(default_factory=dict, compare=False)


class GatewayOptions(TypedDict, total=False):
    """The keywords that every carrier's gateway takes; `GatewayConfig` tells what they mean."""

    public_url: str
    listen_addr: str
    mode: PipelineMode | Literal["text", "realtime"]
    realtime_provider: RealtimeProvider | RealtimeProviderFactory | str | None
    realtime_config: RealtimeConfig | Mapping[str, Any] | None
    stt_provider: object
    stt_api_key: str | None
    stt_model: str | None
    stt_language: str | None
    llm_provider: object
    llm_api_key: str | None
    llm_model: str | None
    llm_system_prompt: str | None
    llm_client: object
    tts_provider: object
    tts_api_key: str | None
    tts_voice_id: str | None
    tts_model: str | None
    greeting: str
    greeting_interruptible: bool
    goodbye: str
    idle_timeout: float | None
    idle_prompt: str
    max_idle_prompts: int
    tools: Sequence[ToolDefinition | Callable[..., Any]]
    tool_handlers: Mapping[str, ToolHandler]
    interruption_mode: InterruptionMode | Literal["immediate", "after_sentence", "disabled"] | InterruptionPolicy
    max_session_duration: float
    max_concurrent_calls: int
    max_calls_per_caller: int | None
    on_call_timeout: float
    start_timeout: float
    media_timeout: float | None
    stop_timeout: float
    recording_dir: str | Path | None
    logger: Logger


_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]
_Key = Annotated[str | None, Field(repr=False)]

TEXT_FIELDS: Final = (
    "stt_provider",
    "stt_api_key",
    "stt_model",
    "stt_language",
    "llm_provider",
    "llm_api_key",
    "llm_model",
    "llm_system_prompt",
    "llm_client",
    "tts_provider",
    "tts_api_key",
    "tts_voice_id",
    "tts_model",
)
REALTIME_FIELDS: Final = ("realtime_provider", "realtime_config")


class GatewayConfig(BaseModel):
    """What every carrier's gateway needs to know. A carrier's own configuration adds its credentials.

    Args:
        public_url: Where the carrier reaches this gateway, `https://host[:port][/path]`; signatures are computed over it. It may be left
            out, or be `http`, only where the gateway listens on a loopback address.
        listen_addr: `host:port`, or `:port` for all addresses; port 0 takes a free one.
        mode: How calls are answered; by default `realtime` if a realtime provider or configuration is given, else `text`.
        realtime_provider: The provider, its name, or a factory that makes it from `realtime_config`; None takes the one that
            `realtime_config` names.
        realtime_config: Model, voice, instructions and tools of the sessions. With a provider object only what is about one session:
            voice, instructions, temperature and tools.
        stt_provider: What turns speech into text: a name or an object. With `stt_api_key` (None: the vendor's environment variable),
            `stt_model` and `stt_language`.
        llm_provider: What answers: a name or an object. With `llm_api_key`, `llm_model` and `llm_system_prompt`.
        llm_client: A language model or a client of one in place of `llm_provider` and `llm_api_key`, which do not count then.
        tts_provider: What speaks: a name or an object. With `tts_api_key`, `tts_voice_id` and `tts_model`.
        greeting: A sentence that the agent says when the call connects.
        greeting_interruptible: Whether the caller may interrupt the greeting. If not, the agent does not listen before its end.
        goodbye: A sentence that the agent says before a call is hung up for its duration, or for silence.
        idle_timeout: Seconds after which somebody who says nothing is asked for it.
        idle_prompt: What they are asked. Without it the call is hung up at once.
        max_idle_prompts: How often they are asked in a row before the call is hung up.
        tools: Tools besides those of `realtime_config`: definitions, or plain functions.
        tool_handlers: What runs each defined tool, by name; called with one mapping of the arguments.
        interruption_mode: What the caller's speech does to the agent's: `immediate`, `after_sentence` or `disabled`; or a policy, with
            a minimum of speech and a cool-down.
        max_session_duration: Seconds after which a call is hung up.
        max_concurrent_calls: How many calls are answered at once; further callers hear the busy tone.
        max_calls_per_caller: How many of them may come from one number.
        on_call_timeout: Seconds that the `on_call` handler has to decide; after that the call is refused.
        start_timeout: Seconds in which a media socket must say which call it belongs to.
        media_timeout: Seconds without audio after which the line counts as lost; None waits for ever.
        stop_timeout: Seconds that calls which run, or were accepted already, are given to end when the gateway stops.
        recording_dir: Where calls are recorded, as stereo WAV files that only this user can read; None records nothing.
        logger: Where the gateway logs; by default `trunkline.gateway`.

    Raises:
        InvalidConfig: Values that cannot work or would have no effect; the error names all of them, and shows no secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
    environment: ClassVar[Mapping[str, str]] = {}
    """Fields that are read from an environment variable where they are not given: the carrier's credentials."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Which field a general option means, such as `api_key`, where the carrier calls it otherwise."""

    public_url: str = ""
    listen_addr: str = ":8080"
    mode: Annotated[PipelineMode, Field(strict=False)] = PipelineMode.TEXT
    realtime_provider: Annotated[RealtimeProvider | RealtimeProviderFactory | str | None, SkipValidation] = None
    realtime_config: RealtimeConfig | None = None
    stt_provider: Any = None
    stt_api_key: _Key = None
    stt_model: str | None = None
    stt_language: str | None = None
    llm_provider: Any = None
    llm_api_key: _Key = None
    llm_model: str | None = None
    llm_system_prompt: str | None = None
    llm_client: Any = None
    tts_provider: Any = None
    tts_api_key: _Key = None
    tts_voice_id: str | None = None
    tts_model: str | None = None
    greeting: str = ""
    greeting_interruptible: bool = True
    goodbye: str = ""
    idle_timeout: _Seconds | None = None
    idle_prompt: str = ""
    max_idle_prompts: _Count = 2
    tools: Annotated[Sequence[ToolDefinition | Callable[..., Any]], SkipValidation] = ()
    tool_handlers: Annotated[Mapping[str, ToolHandler], SkipValidation] = Field(default_factory=dict)
    interruption_mode: Annotated[InterruptionMode | InterruptionPolicy | str, SkipValidation] = (
        InterruptionMode.IMMEDIATE
    )
    max_session_duration: _Seconds = 1800.0
    max_concurrent_calls: _Count = 100
    max_calls_per_caller: _Count | None = None
    on_call_timeout: _Seconds = 10.0
    start_timeout: _Seconds = 30.0
    media_timeout: _Seconds | None = 60.0
    stop_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    recording_dir: Annotated[Path | None, Field(strict=False)] = None
    logger: Annotated[Logger, SkipValidation] = Field(default=logging.getLogger("trunkline.gateway"), repr=False)

    def __init__(self, **options: Any) -> None:
        given = options | {
            name: os.environ[variable]
            for name, variable in self.environment.items()
            if os.environ.get(variable) and not options.get(name)
        }
        if "mode" not in given:
            is_realtime = any(given.get(name) is not None for name in REALTIME_FIELDS)
            given["mode"] = PipelineMode.REALTIME if is_realtime else PipelineMode.TEXT
        problems: list[InvalidConfig] = []
        try:
            super().__init__(**given)
        except ValidationError as invalid:
            problems += [self._problem(error) for error in invalid.errors(include_url=False)]
        wrong = {problem.field for problem in problems}
        problems += [problem for problem in self.conflicts(given) if problem.field not in wrong]
        if problems:
            raise InvalidConfig.all_of(problems)

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> Iterator[InvalidConfig]:
        """What does not go together in what was given, whether or not each value is right; a carrier's class adds its own."""
        text = [name for name in TEXT_FIELDS if given.get(name) is not None]
        if given["mode"] == PipelineMode.REALTIME:
            yield from (InvalidConfig(name, "has no effect in realtime mode") for name in text)
            if all(given.get(name) is None for name in REALTIME_FIELDS):
                yield InvalidConfig(
                    "realtime_provider", "is needed in realtime mode; or name one in realtime_config.provider"
                )
        else:
            realtime = [name for name in REALTIME_FIELDS if given.get(name) is not None]
            yield from (InvalidConfig(name, "has no effect in text mode") for name in realtime)
            for kind in ("stt", "llm", "tts"):
                maker = f"{kind}_provider"
                if given.get(maker) is not None and not isinstance(given[maker], str):
                    about_it = [name for name in text if name.startswith(kind) and name not in {maker, "llm_client"}]
                    yield from (
                        InvalidConfig(name, f"has no effect beside a {maker} that is made") for name in about_it
                    )
        if given.get("idle_timeout") is None:
            yield from (
                InvalidConfig(name, "has no effect without idle_timeout")
                for name in ("idle_prompt", "max_idle_prompts")
                if name in given
            )
        elif "max_idle_prompts" in given and not given.get("idle_prompt"):
            yield InvalidConfig("max_idle_prompts", "has no effect without idle_prompt")
        if not given.get("greeting_interruptible", True) and not given.get("greeting"):
            yield InvalidConfig("greeting_interruptible", "has no effect without a greeting")
        yield from cls._address_conflicts(given)
        yield from cls._tool_conflicts(given)

    @classmethod
    def _address_conflicts(cls, given: Mapping[str, Any]) -> Iterator[InvalidConfig]:
        listen_addr = given.get("listen_addr", cls.model_fields["listen_addr"].default)
        try:
            host, _ = listening_address(listen_addr)
        except InvalidConfig:
            return
        if not given.get("public_url") and not is_loopback(host):
            yield InvalidConfig("public_url", f"is needed, since {listen_addr!r} is not a loopback address")

    @classmethod
    def _tool_conflicts(cls, given: Mapping[str, Any]) -> Iterator[InvalidConfig]:
        config = given.get("realtime_config")
        session = config.to_process_config() if isinstance(config, RealtimeConfig) else None
        try:
            CompiledTools(
                [*(session.functions if session else ()), *given.get("tools", ())],
                given.get("tool_handlers", {}),
                on_function_call=session.on_function_call if session else None,
            )
        except InvalidConfig as problem:
            yield problem

    @classmethod
    def _problem(cls, error: Any) -> InvalidConfig:
        """A problem that pydantic found, in a sentence that shows no secret."""
        name = str(error["loc"][0])
        known = cls.model_fields.get(name)
        if known is None:
            return InvalidConfig(name, f"is unknown; known are {', '.join(sorted(cls.model_fields))}")
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, InvalidConfig):
            return cause if cause.field.startswith(name) else InvalidConfig(name, str(cause))
        value = error["input"]
        shown = f", got {value!r}" if known.repr and isinstance(value, str | int | float) else ""
        return InvalidConfig(name, error["msg"].replace("Input should be", "must be") + shown)

    # ── the fields that have rules of their own ──────────────────────────────────────────────────────────────────────

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        return normalized_url("public_url", value) if value else value

    @field_validator("listen_addr", mode="before")
    @classmethod
    def _listen_addr(cls, value: object) -> object:
        listening_address(value)
        return value

    @field_validator("stt_api_key", "llm_api_key", "tts_api_key")
    @classmethod
    def _api_key(cls, value: str | None, about: ValidationInfo) -> str | None:
        return None if value is None else checked_credential(str(about.field_name), value)

    @field_validator("realtime_config", mode="before")
    @classmethod
    def _realtime_config(cls, value: object) -> object:
        return RealtimeConfig.from_json(value) if isinstance(value, Mapping | str) else value

    @field_validator("interruption_mode")
    @classmethod
    def _interruption_mode(cls, value: Any) -> Any:
        return value if isinstance(value, InterruptionPolicy) else InterruptionPolicy(mode=value).mode

    @field_validator("stt_provider", "llm_provider", "tts_provider")
    @classmethod
    def _provider_name(cls, value: object, about: ValidationInfo) -> object:
        if isinstance(value, str) and not (value and is_written_plainly(value)):
            raise InvalidConfig(str(about.field_name), "must be a name without blanks or quotes")
        return value

    # ── what follows from them ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def interruption(self) -> InterruptionPolicy:
        """How easily the caller stops the agent."""
        if isinstance(self.interruption_mode, InterruptionPolicy):
            return self.interruption_mode
        return InterruptionPolicy(mode=InterruptionMode(self.interruption_mode))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; the host is "" for all addresses."""
        return listening_address(self.listen_addr)


def checked_credential(name: str, value: object) -> str:
    """A value that requests are signed or compared with.

    Raises:
        InvalidConfig: It is no text, or holds what slips in with a copy or a file: blanks, line breaks, quotes. It is not shown.
    """
    if not isinstance(value, str) or not value.isascii() or not is_written_plainly(value):
        raise InvalidConfig(name, "must be plain text without blanks, line breaks or quotes")
    return value
