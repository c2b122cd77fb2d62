"""What a text-to-speech engine is, whoever the vendor is: the contract that the text pipeline is written against.

.. code-block:: python

    async with tts.open(TWILIO) as session:             # one call: the connection is warm
        async with session.utterance() as utterance:    # one answer of the agent
            await utterance.send("Good day.")           # a sentence; audio begins to come
            await utterance.send("How can I help?")     # asked for while the first is spoken
            await utterance.finish()
            async for piece in utterance:
                play(piece.audio)                       # in `session.output_format`

Leaving the inner block before the end cancels what is left of the answer: the vendor is told, and nothing of it comes any more.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from trunkline.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as written in the text, and when it is heard, in milliseconds; its end includes the pause before the next."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechCapabilities:
    """What an engine can do. Ask for the capability, never for the vendor's name.

    Attributes:
        formats: The formats it makes, the one it makes best first.
        word_timings: `SpeechPiece.words` tells when each word is heard.
        sentences: `SpeechPiece.sentence` tells which sentence the audio belongs to.
    """

    formats: tuple[AudioFormat, ...]
    word_timings: bool = False
    sentences: bool = False

    def nearest(self, wanted: AudioFormat | None) -> AudioFormat:
        """The format to ask for: the wanted one where the engine has it, else its best."""
        return wanted if wanted is not None and wanted in self.formats else self.formats[0]


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """Audio that came, and what it says.

    Args:
        audio: Whole samples of the session's `output_format`; empty where only words came.
        words: Words whose times became known, from the beginning of the utterance; none where `word_timings` is False.
        sentence: Which sentence it belongs to, counted from 0 in the order they were sent; None where the vendor does not tell.
    """

    audio: bytes
    words: tuple[SpokenWord, ...] = ()
    sentence: int | None = None


class Utterance(Protocol):
    """One answer of the agent: sentences in, audio out, in order.

    One task may send while another iterates.
    """

    async def send(self, sentence: str) -> None:
        """Speak a sentence after those before it; it does not wait for the audio.

        The engine may begin at once, so send whole sentences or clauses. White space around it does not matter; a text without anything
        to say is left out, and counts as a sentence.

        Failures of the vendor are told to whoever iterates, after the audio that came before them.

        Raises:
            LocalProtocolError: The utterance is finished or over.
        """
        ...

    async def finish(self) -> None:
        """Say that no more sentences come; the iteration ends after the audio of the last. Any number of times."""
        ...

    def __aiter__(self) -> AsyncIterator[SpeechPiece]:
        """The audio as it comes, faster than it plays; it ends once everything that was sent is spoken and `finish` was called.

        Raises:
            ProviderError: The vendor failed, or said nothing for too long; the class says which. What came before was yielded. The session
                connects anew for its next utterance.
        """
        ...


class SpeechSession(Protocol):
    """The voice of one call. It keeps its connection warm between utterances, and connects anew where it was lost."""

    @property
    def output_format(self) -> AudioFormat:
        """The format of `SpeechPiece.audio`; convert where it is not the one you asked for."""
        ...

    def utterance(self) -> AbstractAsyncContextManager[Utterance]:
        """Begin an answer: `async with session.utterance() as utterance`; leaving the block before its end cancels it.

        Leaving is quick: it does not wait for the vendor. One utterance at a time; the next may begin at once.

        Raises:
            ProviderError: The vendor refused or could not be reached.
            LocalProtocolError: Another utterance is open, or the session is over.
        """
        ...


class TextToSpeech(Protocol):
    """A text-to-speech engine."""

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    @property
    def capabilities(self) -> SpeechCapabilities:
        """What it can do, as it is configured."""
        ...

    def open(self, output_format: AudioFormat | None = None) -> AbstractAsyncContextManager[SpeechSession]:
        """Open the voice of one call: `async with tts.open(TWILIO) as session`.

        Engines that speak over a connection connect here, so open it while the call still rings. An error of the block leaves it as it
        is, never inside a group. Leave the block in the task in which you entered it.

        Args:
            output_format: What you would like to get; given where the engine has it, and never a reason to refuse.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
        """
        ...

    async def aclose(self) -> None:
        """Release what the engine keeps between calls, such as connections; any number of times."""
        ...


async def synthesize(
    tts: TextToSpeech, text: str, output_format: AudioFormat | None = None
) -> tuple[bytes, AudioFormat]:
    """Speak one text to its end, as for a greeting that is kept; the audio and its format.

    Raises:
        ProviderError: The vendor refused, could not be reached or failed.
    """
    audio = bytearray()
    async with tts.open(output_format) as session, session.utterance() as utterance:
        await utterance.send(text)
        await utterance.finish()
        async for piece in utterance:
            audio += piece.audio
    return bytes(audio), session.output_format
