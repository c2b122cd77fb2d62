"""The tree of errors, drawn once; every row raises from here.

    TrunklineError
    ├─ ConfigError (ValueError)       InvalidConfig · UnknownProvider · MissingExtra
    ├─ AudioError (ValueError)        UnsupportedEncoding · UnsupportedSampleRate · InvalidAudioData
    ├─ ProtocolError                  LocalProtocolError · RemoteProtocolError
    ├─ TransportError                 HandshakeRejected · ConnectionLost · MessageTooLarge · DeadlineExceeded
    ├─ ProviderError                  AuthFailed · RateLimited · ModelUnavailable · ProviderUnavailable · RequestRejected
    │                                 ConnectionFailed · SessionClosed · AllProvidersFailed
    │  └─ RateLimited                 QuotaExceeded
    ├─ CallError                      CallRejected · CallNotFound · SignatureInvalid
    └─ ToolError                      UnknownTool · InvalidArguments · ToolTimedOut

An error holds facts as attributes and `str()` makes the sentence. `may_fall_back` on the class says whether a fallback client may try
its next provider, `is_permanent` whether the same provider will go on failing in this way. No message ever holds a secret: keys are not
passed to an error, and addresses come without their query.

Cancellation is no error of the tree: it is the event loop's own exception, and `except ContextCancelled` catches those of both loops.
Whoever does must raise it again.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, overload


class TrunklineError(Exception):
    """Anything that this package raises on purpose."""

    may_fall_back: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """The error as JSON-able values: `type`, the sentence as `message`, and its facts by their names."""
        facts = {name: value for name, value in vars(self).items() if isinstance(value, str | int | float)}
        return facts | {"type": type(self).__name__, "message": str(self)}


@overload
def single(error: Exception) -> Exception: ...
@overload
def single(error: BaseException) -> BaseException: ...
def single(error: BaseException) -> BaseException:
    """The one error inside the groups that task groups put around it; a group of several stays as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────────


class ConfigError(TrunklineError, ValueError):
    """Something was set up in a way that cannot work."""


class InvalidConfig(ConfigError):
    """A value was refused when an object was built.

    Attributes:
        field: Which value.
        reason: Why it was refused.
        others: What was refused besides, where several values were looked at.
    """

    def __init__(self, field: str, reason: str, others: "Sequence[InvalidConfig]" = ()) -> None:
        self.field = field
        self.reason = reason
        self.others = tuple(others)
        super().__init__(field, reason, self.others)

    @classmethod
    def all_of(cls, problems: "Sequence[InvalidConfig]") -> "InvalidConfig":
        """One error for several, of which there is at least one."""
        flat = [each for problem in problems for each in (problem, *problem.others)]
        return cls(flat[0].field, flat[0].reason, [cls(each.field, each.reason) for each in flat[1:]])

    def __str__(self) -> str:
        return "; ".join([f"{self.field}: {self.reason}", *map(str, self.others)])


class UnknownProvider(ConfigError):
    """No provider of this name is registered.

    Args:
        provider: The name that was asked for.
        kind: What kind of provider, as in the registry.
        available: The names that there are.
    """

    def __init__(self, provider: str, *, kind: str = "", available: Sequence[str] = ()) -> None:
        self.provider = provider
        self.kind = kind
        self.available = tuple(sorted(available))
        super().__init__(provider)

    def __str__(self) -> str:
        kind = f"{self.kind} " if self.kind else ""
        names = ", ".join(self.available) or "none"
        return f"unknown {kind}provider {self.provider!r}; available: {names}"


class MissingExtra(ConfigError, ImportError):
    """A feature needs packages that an extra installs."""

    def __init__(self, extra: str, feature: str) -> None:
        self.extra = extra
        self.feature = feature
        super().__init__(extra, feature)

    def __str__(self) -> str:
        return f"{self.feature} needs the extra {self.extra!r}; install it with: pip install 'trunkline[{self.extra}]'"


# ── audio ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class AudioError(TrunklineError, ValueError):
    """Audio, or a description of it, that cannot be handled."""


class UnsupportedEncoding(AudioError):
    """An encoding that is unknown, or known but not raw audio."""

    def __init__(self, encoding: object) -> None:
        self.encoding = encoding
        super().__init__(encoding)

    def __str__(self) -> str:
        return f"unsupported encoding {self.encoding!r}"


class UnsupportedSampleRate(AudioError):
    """A sample rate outside those that can be converted."""

    def __init__(self, sample_rate: object) -> None:
        self.sample_rate = sample_rate
        super().__init__(sample_rate)

    def __str__(self) -> str:
        return f"unsupported sample rate {self.sample_rate!r} Hz"


class InvalidAudioData(AudioError):
    """Bytes or an array that do not hold audio of the format they are said to have."""


# ── protocols ────────────────────────────────────────────────────────────────────────────────────────────────────────


class ProtocolError(TrunklineError):
    """A message that the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """This program asked for something that the protocol does not allow at this moment."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something that its own protocol does not allow; `path` says where in the message."""

    def __init__(self, vendor: str, reason: str, *, path: str = "") -> None:
        self.vendor = vendor
        self.reason = reason
        self.path = path
        super().__init__(vendor, reason)

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"{self.vendor} sent a message that cannot be read{where}: {self.reason}"


# ── transport ────────────────────────────────────────────────────────────────────────────────────────────────────────


class TransportError(TrunklineError):
    """A connection could not be made or was lost."""

    may_fall_back = True


class HandshakeRejected(TransportError):
    """The server answered the WebSocket upgrade with an HTTP status.

    `body` is the start of what it said, `request_id` its `X-Request-Id`.
    """

    def __init__(
        self, status: int, *, body: str = "", retry_after: float | None = None, request_id: str | None = None
    ) -> None:
        self.status = status
        self.body = body
        self.retry_after = retry_after
        self.request_id = request_id
        super().__init__(status)

    def __str__(self) -> str:
        return f"the WebSocket upgrade was refused with HTTP status {self.status}"


class ConnectionLost(TransportError):
    """The connection ended; `code` and `reason` are those of the WebSocket close frame, 1006 if there was none."""

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(code, reason)

    @property
    def clean(self) -> bool:
        """Whether the other side closed in the ordinary way."""
        return self.code in {1000, 1001}

    def __str__(self) -> str:
        # The reason is the other side's text, and this sentence is written to logs.
        why = f": {''.join(c if c.isprintable() else '�' for c in self.reason)}" if self.reason else ""
        return f"the connection ended with code {self.code}{why}"


class MessageTooLarge(TransportError):
    """A message was larger than the limit; it was not read to its end."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(limit)

    def __str__(self) -> str:
        return f"a message was larger than the limit of {self.limit} bytes"


class DeadlineExceeded(TransportError):
    """An operation did not finish in its time, in seconds."""

    def __init__(self, operation: str, seconds: float) -> None:
        self.operation = operation
        self.seconds = seconds
        super().__init__(operation, seconds)

    def __str__(self) -> str:
        return f"{self.operation} did not finish within {self.seconds:g} s"


# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class ProviderError(TrunklineError):
    """A vendor's service refused or failed; `RealtimeError` is its second name.

    Args:
        message: The vendor's own words, without secrets.
        vendor: The vendor's name, as in the registry.
        code: The vendor's code for it.
        request_id: What the vendor's support asks for.
        retry_after: Seconds to wait before trying again, where the vendor said so.
    """

    may_fall_back = True
    is_permanent: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        code: str | None = None,
        *,
        vendor: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message
        self.code = code
        self.vendor = vendor
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(message, code)

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" if self.code else self.message


class AuthFailed(ProviderError):
    """The key is missing, wrong or has no access."""

    may_fall_back = False
    is_permanent = True


class RateLimited(ProviderError):
    """Too many requests; later ones may succeed, unless it is the quota that is used up."""


class QuotaExceeded(RateLimited):
    """The account has no credit left; waiting does not help."""

    is_permanent = True


class ModelUnavailable(ProviderError):
    """The model does not exist, or not for this account or this interface."""

    is_permanent = True


class ProviderUnavailable(ProviderError):
    """The vendor's service is down or overloaded, or no provider is set."""


class RequestRejected(ProviderError):
    """The vendor refused what was asked; asking the same again would be refused again."""

    may_fall_back = False


class ConnectionFailed(ProviderError):
    """The vendor could not be reached, or the connection to it broke; `RealtimeConnectionError` is its second name."""


class SessionClosed(ProviderError):
    """The session is over; `AgentClosed` is its second name."""

    may_fall_back = False

    def __init__(
        self,
        message: str = "the session is closed",
        code: str | None = None,
        *,
        vendor: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code, vendor=vendor, request_id=request_id)


class AllProvidersFailed(ProviderError):
    """Every provider of a fallback client failed; `attempts` holds (name, error) in the order they were tried."""

    may_fall_back = False

    def __init__(self, attempts: Sequence[tuple[str, Exception]]) -> None:
        self.attempts = tuple(attempts)
        reasons = "; ".join(f"{name}: {error}" for name, error in self.attempts)
        super().__init__(f"every provider failed: {reasons}")

    def to_json(self) -> dict[str, Any]:
        """As every error, and `attempts`."""
        attempts = [
            {"provider": name, "type": type(error).__name__, "message": str(error)} for name, error in self.attempts
        ]
        return super().to_json() | {"attempts": attempts}


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class CallError(TrunklineError):
    """Something about one telephone call."""

    def __init__(self, reason: str = "", *, call_id: str = "") -> None:
        self.reason = reason
        self.call_id = call_id
        super().__init__(reason)

    def __str__(self) -> str:
        which = f"call {self.call_id}: " if self.call_id else ""
        return f"{which}{self.reason}"


class CallRejected(CallError):
    """Raised by an `on_call` handler to refuse a call; the caller hears `reason="busy"` as the busy tone.

    Args:
        reason: Why; it is logged.
        say: A sentence that the carrier speaks to the caller before it hangs up, where it can. The call is answered for it, and billed.
        call_id: Which call; the gateway fills it in.
    """

    def __init__(self, reason: str = "", *, say: str = "", call_id: str = "") -> None:
        super().__init__(reason, call_id=call_id)
        self.say = say


class CallNotFound(CallError):
    """No such call is known here."""


class SignatureInvalid(CallError):
    """A request that claims to come from the carrier is not signed by it."""


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class ToolError(TrunklineError):
    """A tool could not be run; `str()` is what the model is told."""

    def __init__(self, tool: str, reason: str) -> None:
        self.tool = tool
        self.reason = reason
        super().__init__(tool, reason)

    def __str__(self) -> str:
        return f"Tool {self.tool}: {self.reason}"


class UnknownTool(ToolError):
    """The model asked for a tool that it was not given."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool, "not found")

    def __str__(self) -> str:
        return f"Tool {self.tool} not found"


class InvalidArguments(ToolError):
    """The model's arguments are not JSON, or do not fit the tool's schema."""


class ToolTimedOut(ToolError):
    """A tool did not answer in its time."""

    def __init__(self, tool: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(tool, f"no answer within {seconds:g} s")


# Second names, from the documents the product was asked for by; each is the same class, never a subclass.
RealtimeError = ProviderError
RealtimeConnectionError = ConnectionFailed
AuthenticationFailed = AuthFailed
AgentClosed = SessionClosed
ErrInvalidConfig = InvalidConfig
ErrUnknownProvider = UnknownProvider
ErrAgentClosed = SessionClosed
ErrSessionClosed = SessionClosed
ErrConnectionFailed = ConnectionFailed
ErrAuthFailed = AuthFailed
ErrRateLimited = RateLimited
ErrModelUnavailable = ModelUnavailable


def __getattr__(name: str) -> tuple[type[BaseException], ...]:
    if name != "ContextCancelled":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loops = {"asyncio": "CancelledError", "trio": "Cancelled"}
    return tuple(getattr(import_module(loop), cancelled) for loop, cancelled in loops.items() if find_spec(loop))
