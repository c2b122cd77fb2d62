"""What every streaming protocol of speech to text can do: one object per session, without a socket and without a clock."""

from collections.abc import Sequence
from typing import Protocol

from trunkline.audio import AudioFormat
from trunkline.wire.stt.events import SttEvent

Message = str | bytes
"""One WebSocket message."""


class SttCodec(Protocol):
    """One session's state and messages."""

    @property
    def vendor(self) -> str:
        """The vendor's name."""
        ...

    @property
    def audio_format(self) -> AudioFormat:
        """What `audio` takes."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether the vendor has said all that it says before it listens."""
        ...

    @property
    def owes_final(self) -> bool:
        """Whether a final transcript was asked for, or is certain to come, and has not come yet."""
        ...

    @property
    def quiet_limit(self) -> float:
        """Seconds without anything sent after which `keep_alive` is to be sent."""
        ...

    def opening(self) -> Sequence[Message]:
        """What to send when the connection is open."""
        ...

    def audio(self, audio: bytes) -> Sequence[Message]:
        """The caller's next audio; it may wait until there is enough for a message."""
        ...

    def finalize(self) -> Sequence[Message]:
        """Ask for the final transcript of what was said so far."""
        ...

    def keep_alive(self) -> Sequence[Message]:
        """Keep the session alive while the caller sends nothing."""
        ...

    def closing(self) -> Sequence[Message]:
        """What to send before the connection is closed; with nothing to send, nothing is waited for."""
        ...

    def receive(self, message: Message) -> Sequence[SttEvent]:
        """What a message of the vendor's means.

        Raises:
            RemoteProtocolError: It cannot be read; the session goes on.
        """
        ...

    def flush(self) -> Sequence[SttEvent]:
        """Take the words so far for final: the vendor does not finish them. What it still says of them is dropped."""
        ...
