"""What a realtime provider and its session are, whoever the vendor is: the contract that everything general is written against.

A third party's provider needs `connect`, the properties and the session's methods; it inherits `StreamContract`
(`trunkline.realtime.stream`) for `process_audio_stream` and `aclose`. `trunkline.testing.suites.realtime` checks the rest.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from trunkline.audio import AudioFormat
from trunkline.conversation import HistoryItem
from trunkline.errors import InvalidConfig
from trunkline.realtime.events import SessionEvent
from trunkline.realtime.items import AudioChunk, StreamStats, Transcript
from trunkline.tools.compiled import CompiledTools
from trunkline.tools.definition import ToolDefinition

FunctionCallHandler = Callable[[str, str, str], Any | Awaitable[Any]]
"""Called with (call id, tool name, arguments as JSON text); returns any JSON-able value or raises. May be `async`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a session can do. Ask for the capability, never for the vendor's name.

    A provider tells what its sessions can do at best; an open session tells what it can do as it was configured. A flag that is False
    means that the method raises `LocalProtocolError`, unless the attribute says otherwise.

    Attributes:
        input_rate: Sample rate in hertz of linear16 audio to the vendor.
        output_rate: Sample rate in hertz of linear16 audio from the vendor.
        native_formats: Formats the vendor both takes and gives without conversion, besides linear16 at the two rates. A format that it
            only takes or only gives is not among them, and may still be asked for in `ProcessConfig`.
        reports_speech: `SpeechStarted` and `SpeechStopped` are told. Where they are not, whoever uses the session detects speech itself.
        commit: Whoever uses the session ends the user's turns, with `commit_audio`: the vendor's own turn detection is off. A provider says
            so where it can be switched off.
        clear: The user's audio that was not committed can be dropped with `clear_audio`.
        cancel: A running answer can be stopped with `cancel_response`.
        truncate: The model's memory of an answer can be cut to what was heard, with `truncate`.
        response_instructions: `create_response` takes instructions that hold for one answer alone.
        update_instructions: The system prompt of an open session can be changed, with `update_instructions`.
        speaks_during_calls: `say` speaks while tool calls wait for their results. Where False, it waits until they are answered: do not
            say then what is only meant to bridge the wait.
        seeds_tool_calls: `ProcessConfig.history` may hold tool calls and results, and calls without a result may be answered in the new
            session. Where False, the provider puts them into words or leaves them out, and answers of earlier calls are not accepted.
        interrupts_itself: The vendor stops a running answer by itself when it hears the user. A session that was asked not to
            (`allow_interruption`) must say False, else nobody stops its answers.
        answers_turns: The vendor answers the user's turn by itself. Where False, an answer comes only of `create_response`.
        resume: The vendor can take up an earlier session with its own memory, instead of being told the history: `SessionResumable` gives
            the handle for `ProcessConfig.resume_handle`. It does not mean that a session survives a broken connection by itself.
    """

    input_rate: int
    output_rate: int
    native_formats: tuple[AudioFormat, ...] = ()
    reports_speech: bool = True
    commit: bool = False
    clear: bool = False
    cancel: bool = False
    truncate: bool = False
    response_instructions: bool = False
    update_instructions: bool = True
    speaks_during_calls: bool = True
    seeds_tool_calls: bool = False
    interrupts_itself: bool = True
    answers_turns: bool = True
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """How one session should be; what is set here goes before what the provider was built with.

    Args:
        instructions: System prompt of the conversation.
        voice: The vendor's name of the voice to speak with.
        functions: Tools that the model may call: definitions, plain functions or pydantic models. Whoever runs the session (a bridge, an
            `AudioStream`, an agent) runs functions and models; the session itself only tells the model of `definitions`.
        on_function_call: Runs the calls of definitions that have no handler.
        temperature: 0 to 2; None leaves it to the vendor. Refused where the vendor's protocol has no such field.
        extensions: Further options by vendor: `{"openai": {...}}`; they reach the wire as they are, and unknown ones are refused.
        input_format: The format the caller would like to send; taken where the vendor has it, and never a reason to refuse. The session's
            `input_format` decides.
        output_format: The format the caller would like to get, likewise.
        allow_interruption: False: the vendor must not stop its answer when the user speaks.
        history: What went before, oldest first: the model is told it when the session is set up, and answers nothing of it by itself.
            A tool call whose result is not among it is still being worked on: `send_tool_result` takes its answer in the new session,
            where `Capabilities.seeds_tool_calls` says so.
        resume_handle: The handle of the last `SessionResumable` of a session of the same provider, with `Capabilities.resume` only: the
            vendor takes that session up with its own memory, and `history` is not told. Where the vendor refuses the handle, `connect`
            begins afresh with `history`; `SessionReady.resumed` says which it was. A tool call that was open is open no more.

    Raises:
        InvalidConfig: A value is out of its bounds, or a function cannot be a tool.
    """

    instructions: str | None = None
    voice: str | None = None
    functions: Sequence[ToolDefinition | Callable[..., Any]] = ()
    on_function_call: FunctionCallHandler | None = None
    temperature: float | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    input_format: AudioFormat | None = None
    output_format: AudioFormat | None = None
    allow_interruption: bool = True
    history: Sequence[HistoryItem] = ()
    resume_handle: str | None = field(default=None, repr=False)
    _compiled: CompiledTools | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidConfig("temperature", f"must be between 0 and 2, got {self.temperature!r}")

    @property
    def compiled_tools(self) -> CompiledTools:
        """`functions` and `on_function_call` ready to be called; made at the first call and kept.

        Raises:
            InvalidConfig: A function cannot be a tool.
        """
        if self._compiled is None:
            compiled = CompiledTools(self.functions, on_function_call=self.on_function_call)
            object.__setattr__(self, "_compiled", compiled)
            return compiled
        return self._compiled

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What the model is told of `functions`.

        Raises:
            InvalidConfig: A function cannot be a tool.
        """
        definitions = tuple(tool for tool in self.functions if isinstance(tool, ToolDefinition))
        return definitions if len(definitions) == len(self.functions) else self.compiled_tools.definitions


class RealtimeSession(Protocol):
    """One conversation with a vendor's model.

    You must iterate over the session until it ends: iterating is what reads the vendor's connection. One task iterates; the other methods
    may be called from any task meanwhile. After the end, and where the connection is lost before the events tell so, every one of them
    raises `SessionClosed`; each is safe to cancel: the command was then sent or it was not, never half.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do, as it is configured."""
        ...

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes: as the vendor confirmed it, or as it was asked for where the vendor confirms nothing."""
        ...

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`, likewise."""
        ...

    @property
    def ending_at(self) -> float | None:
        """When the vendor will end this session, in seconds of the provider's clock; None where nothing is known of it.

        What the vendor says in the session goes before the limit in its documents. It may change while the session runs;
        `SessionEnding` tells when it does.
        """
        ...

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        """The events: the first is `SessionReady`, the last `SessionEnded`, after which iterating stops.

        Failures of the vendor or of its connection are events too (`ErrorReported`, `SessionEnded`); iterating raises nothing but
        cancellation. An event that cannot be read costs nothing but itself.
        """
        ...

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio: any number of bytes of `input_format`, also parts of a sample.

        Raises:
            SessionClosed: The session is over.
        """
        ...

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer as soon as none is running.

        No event tells of the text itself. Where the vendor would drop a running answer for it, the session keeps it until that is over.

        Raises:
            SessionClosed: The session is over.
        """
        ...

    async def say(self, text: str) -> None:
        """Let the agent speak exactly this sentence, in whatever way the vendor allows.

        It is spoken as soon as no answer is running and the user does not speak. It does not wait for tool calls to be answered, where
        `Capabilities.speaks_during_calls` says so. It becomes part of the conversation, and is told like any answer: `ResponseStarted`,
        audio, words, `ResponseFinished`. A model that is asked to say it may choose its own words; the transcript tells what was said.

        Raises:
            SessionClosed: The session is over.
        """
        ...

    async def commit_audio(self) -> None:
        """End the user's turn; with `Capabilities.commit` only. It asks for no answer, unless `Capabilities.answers_turns`.

        Raises:
            LocalProtocolError: The vendor ends turns by itself.
            SessionClosed: The session is over.
        """
        ...

    async def clear_audio(self) -> None:
        """Drop the user's audio that was not committed; with `Capabilities.clear` only.

        Raises:
            LocalProtocolError: The vendor cannot do so.
            SessionClosed: The session is over.
        """
        ...

    async def create_response(self, instructions: str | None = None) -> None:
        """Ask for an answer, as soon as none is running, the user does not speak and all tool calls are answered.

        A vendor that has no such command is asked in words; a model that may keep silent may give no answer.

        Args:
            instructions: What holds for this answer alone; with `Capabilities.response_instructions` only.

        Raises:
            LocalProtocolError: The vendor takes no instructions for one answer.
            SessionClosed: The session is over.
        """
        ...

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none. Nothing more of it comes but `ResponseFinished`.

        That comes soon, also where the vendor never confirms that it stopped. With `Capabilities.cancel` only.

        Raises:
            LocalProtocolError: The vendor cannot do so.
            SessionClosed: The session is over.
        """
        ...

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of an item of its answers to the first `heard_ms` milliseconds of audio.

        An item that the session does not know, or of which less was generated, is left as it is. With `Capabilities.truncate` only.

        Raises:
            LocalProtocolError: The vendor cannot do so.
            SessionClosed: The session is over.
        """
        ...

    async def send_tool_result(self, call_id: str, result: Any) -> None:
        """Answer a tool call, once; the model goes on when all calls of its answer have their results or were taken back.

        The result of a call that the vendor took back (`ToolCallCancelled`) is dropped, since it may have been on its way.

        Args:
            call_id: The id of `ToolCallRequested`.
            result: Text as it is, anything else as JSON: what `json` takes, pydantic models and dataclasses.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
            ToolError: The result cannot be made JSON; nothing was sent.
            SessionClosed: The session is over.
        """
        ...

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on; with `Capabilities.update_instructions` only.

        Raises:
            LocalProtocolError: The vendor cannot do so.
            SessionClosed: The session is over.
        """
        ...

    async def aclose(self) -> None:
        """End the session: any number of times, from any task, within some seconds. Iterating then gives `SessionEnded("closed")`.

        Raises:
            Nothing: A connection that cannot be closed in order is dropped.
        """
        ...


@runtime_checkable
class CountsDroppedAudio(Protocol):
    """A session that may have to drop audio of the user, such as one that connects anew, and says how much."""

    @property
    def dropped_bytes(self) -> int:
        """How many bytes given to `send_audio` were dropped so far."""
        ...


class AudioStream(Protocol):
    """What `process_audio_stream` gives: a session as two streams, each for one reader."""

    @property
    def audio(self) -> AsyncIterator[AudioChunk]:
        """The model's answers. You must read them: when as much is unread as may wait, the session stands still.

        If the session fails, the reader gets the error here, once, after all audio that came before.
        """
        ...

    @property
    def transcripts(self) -> AsyncIterator[Transcript]:
        """The words of both sides; read them at any time, they are kept without bound."""
        ...

    @property
    def session(self) -> RealtimeSession:
        """The session underneath, for commands; leave reading its events to the stream.

        Raises:
            SessionClosed: It is not ready yet.
        """
        ...

    @property
    def error(self) -> Exception | None:
        """Why the stream ended, if that was an error, also after `audio` has raised it."""
        ...

    @property
    def stats(self) -> StreamStats:
        """The figures so far."""
        ...


class RealtimeProvider(Protocol):
    """A vendor of realtime sessions."""

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What its sessions can do at best."""
        ...

    def connect(self, config: ProcessConfig) -> AbstractAsyncContextManager[RealtimeSession]:
        """Open a session: `async with provider.connect(config) as session`; leaving the block closes it.

        The block begins when the vendor has accepted the session: its formats and capabilities are settled by then, and `SessionReady` is
        there to be read. An error of the block leaves it as it is, never inside a group.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
            InvalidConfig: The configuration asks for what the vendor does not have; nothing was sent.
        """
        ...

    def process_audio_stream(
        self, audio_in: AsyncIterable[bytes], config: ProcessConfig | None = None
    ) -> AbstractAsyncContextManager[AudioStream]:
        """Run one session between two streams: `async with provider.process_audio_stream(audio_in, config) as stream`.

        Raises:
            ProviderError: No session could be opened; the class says why.
            InvalidConfig: The configuration asks for what the vendor does not have.
        """
        ...

    async def aclose(self) -> None:
        """Release what the provider keeps between sessions, such as connections; any number of times.

        Sessions that are open go on, unless the provider says otherwise.
        """
        ...
