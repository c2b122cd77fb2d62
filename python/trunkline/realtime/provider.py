"""What a realtime provider and its session are, whoever the vendor is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from trunkline.audio import AudioFormat
from trunkline.conversation import HistoryItem
from trunkline.errors import InvalidConfig
from trunkline.realtime.events import SessionEvent
from trunkline.tools.definition import ToolDefinition

FunctionCallHandler = Callable[[str, str, str], Any | Awaitable[Any]]
"""Called with (call id, tool name, arguments as JSON text); returns any JSON-able value or raises. May be `async`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a session can do. Ask for the capability, never for the vendor's name.

    Attributes:
        native_formats: Formats the vendor takes and gives without conversion, besides linear16 at the two rates.
        input_rate: Sample rate in hertz of linear16 audio to the vendor, `output_rate` of audio from it.
        truncate: The model's memory of an answer can be cut to what was heard.
        cancel: A running answer can be cancelled.
        manual_turns: Turns can be committed by hand. A provider says so if the vendor's voice activity detection can be switched off, a
            session if it is off.
        interrupts_itself: The vendor cancels a running answer by itself when it hears the user. A session that was asked not to
            (`allow_interruption`) must say False, else nobody cancels its answers.
        resume: A broken session can be taken up again.
        session_limit: Seconds after which the vendor ends a session; None where it does not.
    """

    input_rate: int
    output_rate: int
    native_formats: tuple[AudioFormat, ...] = ()
    truncate: bool = False
    cancel: bool = True
    manual_turns: bool = False
    interrupts_itself: bool = True
    resume: bool = False
    session_limit: float | None = None


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """How one session should be; what is set here goes before what the provider was built with.

    Args:
        instructions: System prompt of the conversation.
        voice: The vendor's name of the voice to speak with.
        functions: Tools that the model may call.
        on_function_call: Runs a tool call; where it is None, calls go to the handlers the bridge was given.
        temperature: 0 to 2; None leaves it to the vendor. Refused where the vendor's protocol has no such field.
        extensions: Further options by vendor: `{"openai": {...}}`; they reach the wire as they are, and unknown ones are refused.
        input_format: The format the caller would like to send; honoured where the vendor has it.
        output_format: The format the caller would like to get, likewise.
        allow_interruption: False: the vendor must not cancel its answer when the user speaks.
        history: What went before, oldest first: the model is told it when the session is set up, and answers nothing of it by itself.
            A tool call whose result is not among it is still being worked on: `send_tool_result` takes its answer in the new session.
    """

    instructions: str | None = None
    voice: str | None = None
    functions: Sequence[ToolDefinition] = ()
    on_function_call: FunctionCallHandler | None = None
    temperature: float | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    input_format: AudioFormat | None = None
    output_format: AudioFormat | None = None
    allow_interruption: bool = True
    history: Sequence[HistoryItem] = ()

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidConfig("temperature", f"must be between 0 and 2, got {self.temperature!r}")


class RealtimeSession(Protocol):
    """One conversation with a vendor's model.

    You must iterate over the session until it ends: iterating is what reads the vendor's connection. The other methods may be called from
    any task meanwhile. After the end they raise `SessionClosed`.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""
        ...

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes, as the vendor confirmed it."""
        ...

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`, as the vendor confirmed it."""
        ...

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        """The events; the first is `SessionReady`, the last `SessionEnded`."""
        ...

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`."""
        ...

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""
        ...

    async def commit_audio(self) -> None:
        """End the user's turn by hand; only with the vendor's voice activity detection off."""
        ...

    async def clear_audio(self) -> None:
        """Forget the user's audio that was not committed."""
        ...

    async def create_response(self, instructions: str | None = None, *, during_tools: bool = False) -> None:
        """Ask for an answer, as soon as none is running; `instructions` hold for this answer alone.

        Args:
            instructions: What the answer should be.
            during_tools: Do not wait until the tool calls of the last answer have been answered.
        """
        ...

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        ...

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of its item to the first `heard_ms` milliseconds."""
        ...

    async def send_tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call, once; the model goes on when all calls of its response are answered."""
        ...

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on."""
        ...

    async def aclose(self) -> None:
        """End the session; any number of times, from any task."""
        ...


class RealtimeProvider(Protocol):
    """A vendor of realtime sessions."""

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What its sessions can do."""
        ...

    def connect(self, config: ProcessConfig) -> AbstractAsyncContextManager[RealtimeSession]:
        """Open a session: `async with provider.connect(config) as session`.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
        """
        ...
