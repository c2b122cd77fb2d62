"""How a gateway is set up, checked when it is built."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

from trunkline.errors import InvalidConfig
from trunkline.loopback import is_loopback
from trunkline.pipeline import InterruptionMode, InterruptionPolicy
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory
from trunkline.realtime.provider import RealtimeProvider
from trunkline.tools import ToolDefinition, ToolHandler

Logger = logging.Logger | logging.LoggerAdapter[Any]


class PipelineMode(StrEnum):
    """How a call is answered: voice to voice by one model."""

    REALTIME = "realtime"


class ProviderName(StrEnum):
    """The carriers' names, as in the registry."""

    TWILIO = "twilio"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInfo:
    """A call before it is answered; `from_` and `to` are as the carrier writes them, mostly E.164."""

    call_id: str
    from_: str
    to: str
    direction: Literal["inbound", "outbound"]
    start_time: datetime


class GatewayOptions(TypedDict, total=False):
    """The keywords that every carrier's gateway takes; `GatewayConfig` tells what they mean."""

    public_url: str
    listen_addr: str
    mode: PipelineMode | Literal["realtime"]
    realtime_provider: RealtimeProvider | RealtimeProviderFactory | None
    realtime_config: RealtimeConfig | None
    greeting: str
    tools: Sequence[ToolDefinition | Callable[..., Any]]
    tool_handlers: Mapping[str, ToolHandler]
    interruption_mode: InterruptionMode | Literal["immediate", "after_sentence", "disabled"] | InterruptionPolicy
    max_session_duration: float
    max_concurrent_calls: int
    start_timeout: float
    stop_timeout: float
    logger: Logger


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """What every carrier's gateway needs to know.

    Args:
        public_url: Where the carrier reaches this gateway, `https://host[:port][/path]`; signatures are computed over it. It may be left
            out, or be `http`, only where the gateway listens on a loopback address.
        listen_addr: `host:port`, or `:port` for all addresses; port 0 takes a free one.
        mode: How calls are answered.
        realtime_provider: The provider, or a factory that makes it from `realtime_config`; None takes the one `realtime_config` names.
        realtime_config: Model, voice, instructions and tools of the sessions. With a provider object only what is about one session:
            voice, instructions, temperature and tools.
        greeting: A sentence that the agent says when the call connects.
        tools: Tools besides those of `realtime_config`: definitions, or plain functions.
        tool_handlers: What runs each defined tool, by name; called with one mapping of the arguments.
        interruption_mode: What the caller's speech does to the agent's: `immediate`, `after_sentence` or `disabled`; or a policy, with
            a minimum of speech and a cool-down.
        max_session_duration: Seconds after which a call is hung up.
        max_concurrent_calls: How many calls are answered at once; further callers hear the busy tone.
        start_timeout: Seconds in which a media socket must say which call it belongs to.
        stop_timeout: Seconds that calls which run, or were accepted already, are given to end when the gateway stops.
        logger: Where the gateway logs; by default `trunkline.gateway`.

    Raises:
        InvalidConfig: A value cannot work; the error names the field.
    """

    public_url: str = ""
    listen_addr: str = ":8080"
    mode: PipelineMode | Literal["realtime"] = PipelineMode.REALTIME
    realtime_provider: RealtimeProvider | RealtimeProviderFactory | None = None
    realtime_config: RealtimeConfig | None = None
    greeting: str = ""
    tools: Sequence[ToolDefinition | Callable[..., Any]] = ()
    tool_handlers: Mapping[str, ToolHandler] = field(default_factory=dict)
    interruption_mode: InterruptionMode | Literal["immediate", "after_sentence", "disabled"] | InterruptionPolicy = (
        InterruptionMode.IMMEDIATE
    )
    max_session_duration: float = 1800.0
    max_concurrent_calls: int = 100
    start_timeout: float = 30.0
    stop_timeout: float = 10.0
    logger: Logger = field(default=logging.getLogger("trunkline.gateway"), repr=False)

    def __post_init__(self) -> None:
        if self.mode not in set(PipelineMode):
            raise InvalidConfig("mode", f"must be one of {', '.join(PipelineMode)}, got {self.mode!r}")
        _ = self.interruption  # reading it refuses a mode that there is not
        for name in ("max_session_duration", "max_concurrent_calls", "start_timeout"):
            if not _is_number(getattr(self, name)) or not getattr(self, name) > 0:
                raise InvalidConfig(name, f"must be a number above 0, got {getattr(self, name)!r}")
        if not isinstance(self.max_concurrent_calls, int):
            raise InvalidConfig("max_concurrent_calls", f"must be a whole number, got {self.max_concurrent_calls!r}")
        if not _is_number(self.stop_timeout) or not self.stop_timeout >= 0:
            raise InvalidConfig("stop_timeout", f"must be a number of seconds from 0 on, got {self.stop_timeout!r}")
        host, _ = self.address
        if self.public_url:
            object.__setattr__(self, "public_url", _normalized(self.public_url))
        elif not is_loopback(host):
            raise InvalidConfig("public_url", f"is needed, since {self.listen_addr!r} is not a loopback address")

    @property
    def interruption(self) -> InterruptionPolicy:
        """How easily the caller stops the agent."""
        if isinstance(self.interruption_mode, InterruptionPolicy):
            return self.interruption_mode
        return InterruptionPolicy(mode=self.interruption_mode)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on; the host is "" for all addresses."""
        host, colon, port = str(self.listen_addr).rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or not _is_written_plainly(host):
            raise InvalidConfig("listen_addr", f"must look like host:port or :port, got {self.listen_addr!r}")
        return host.strip("[]"), int(port)


def checked_credential(name: str, value: object) -> str:
    """A value that requests are signed or compared with.

    Raises:
        InvalidConfig: It is no text, or holds what slips in with a copy or a file: blanks, line breaks, quotes. It is not shown.
    """
    if not isinstance(value, str) or not value.isascii() or not _is_written_plainly(value):
        raise InvalidConfig(name, "must be plain text without blanks, line breaks or quotes")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_written_plainly(text: str) -> bool:
    return text.isprintable() and not re.search(
        r"[\s'\"`\u2018-\u201f\u00ab\u00bb]", text
    )  # quotes of other scripts too


def _normalized(public_url: str) -> str:
    """The address as it is signed: the scheme in small letters, no colon without a port, no slash at the end."""
    try:
        url = urlsplit(public_url)
        _ = url.port  # reading it refuses a port that is no number
    except ValueError:
        raise InvalidConfig("public_url", "cannot be read as an address") from None
    # A user's password must not be shown, nor anything be signed that is not sent.
    written = _is_written_plainly(public_url) and not re.search(r"[?#@]", public_url)
    if url.scheme not in {"http", "https"} or not url.hostname or not written:
        raise InvalidConfig(
            "public_url", "must look like https://agent.example.com, without a user, a query, blanks or quotes"
        )
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise InvalidConfig("public_url", "must be https; http is accepted for loopback hosts only")
    return f"{url.scheme}://{url.netloc.removesuffix(':')}{url.path}".rstrip("/")
