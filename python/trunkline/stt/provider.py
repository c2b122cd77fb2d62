"""The contract of speech to text: a session takes the caller's audio as the line carries it, and tells what was said.

.. code-block:: python

    async with stt.connect(line_format) as session:
        tasks.start_soon(feed, session)             # await session.send_audio(frame), frame after frame
        async for event in session:
            match event:
                case Transcript(text=text, is_final=True): ...

Vendors that hear audio as it comes and vendors that take whole utterances look the same from here; `SttCapabilities` tells what differs.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from trunkline.audio import AudioFormat
from trunkline.wire.stt.events import (
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    SttEvent,
    Transcript,
    TurnEndLikely,
    TurnResumed,
)

__all__ = [
    "ErrorReported",
    "SessionEnded",
    "SpeechStarted",
    "SpeechStopped",
    "SpeechToText",
    "SttCapabilities",
    "SttEvent",
    "SttSession",
    "Transcriber",
    "Transcript",
    "Transcription",
    "TurnEndLikely",
    "TurnResumed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SttCapabilities:
    """What a session can do.

    Args:
        streams: Whether words come while the caller speaks; otherwise a transcript comes when an utterance is over.
        reports_speech: Whether `SpeechStarted` and `SpeechStopped` come. Otherwise the first words tell that the caller speaks; whoever
            needs to know earlier listens itself.
        ends_turns: Whether final transcripts come by themselves. Otherwise they come after `finalize` only.
        judges_turns: Whether the end of a turn is judged by what is said, not by silence alone: a final transcript is then the end of the
            turn, and no further silence needs to be waited for.
        predicts_turn_end: Whether `TurnEndLikely` and `TurnResumed` come.
        native_formats: What the vendor hears as it is; other formats are converted.
    """

    streams: bool = True
    reports_speech: bool = False
    ends_turns: bool = True
    judges_turns: bool = False
    predicts_turn_end: bool = False
    native_formats: tuple[AudioFormat, ...] = ()


class SttSession(Protocol):
    """One caller being heard.

    You must iterate over it until it ends. One task may iterate; the other methods may be called from any.
    """

    @property
    def capabilities(self) -> SttCapabilities:
        """What this session can do."""
        ...

    @property
    def input_format(self) -> AudioFormat:
        """What `send_audio` takes: the format that `connect` was given."""
        ...

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        """The events, in order; the last is `SessionEnded`."""
        ...

    async def send_audio(self, audio: bytes) -> None:
        """Let the session hear the next audio, any number of bytes. Give it silence too: vendors measure time in audio.

        Raises:
            SessionClosed: The session is over, or its connection is lost and the events will say why.
        """
        ...

    async def finalize(self) -> None:
        """Ask for the final transcript of what was said so far; returns at once. Where nothing was said, nothing comes.

        The final transcript comes within some seconds, also where the vendor does not answer: it holds the words so far then.

        Raises:
            SessionClosed: As `send_audio`.
        """
        ...

    async def aclose(self) -> None:
        """End the session: any number of times, from any task, within some seconds. The words so far come as a final transcript.

        Raises:
            Nothing: A connection that cannot be closed in order is dropped.
        """
        ...


@runtime_checkable
class SpeechToText(Protocol):
    """A vendor of speech to text, or an engine on this machine."""

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    @property
    def capabilities(self) -> SttCapabilities:
        """What its sessions can do, as this object is configured."""
        ...

    def connect(self, audio_format: AudioFormat) -> AbstractAsyncContextManager[SttSession]:
        """Open a session for one caller: `async with stt.connect(line_format) as session`; leaving the block closes it.

        Leave the block in the task and the cancel scope in which you entered it. An error of the block leaves it as it is.

        Args:
            audio_format: The caller's audio, as the line carries it, mono.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
            InvalidConfig: The audio is not mono.
        """
        ...

    async def aclose(self) -> None:
        """Release what is kept between sessions, such as connections; any number of times. Sessions that are open go on."""
        ...


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was said in one utterance; "" if it was not understood."""

    text: str
    confidence: float | None = None
    language: str = ""


class Transcriber(Protocol):
    """What turns one whole utterance into text; `UtteranceSession` makes sessions of it."""

    async def transcribe(self, audio: bytes, audio_format: AudioFormat) -> Transcription:
        """The words of an utterance.

        Raises:
            ProviderError: The vendor refused, failed or could not be reached.
        """
        ...
