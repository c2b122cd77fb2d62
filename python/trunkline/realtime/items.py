"""What comes out of an audio stream: the pieces of the answers, the words of both sides, the figures."""

from dataclasses import dataclass

from trunkline.conversation import Role


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Audio of the model's answer.

    Args:
        data: The audio: PCM16 mono, unless `ProcessConfig.output_format` asks for another format. It may be empty in a final chunk.
        is_final: Whether the answer ends here.
        sample_rate: Samples a second.
        duration_ms: Milliseconds that it lasts; where it is left out, those of PCM16 mono.
    """

    data: bytes
    is_final: bool = False
    sample_rate: int = 24000
    duration_ms: float = 0.0

    def __post_init__(self) -> None:
        if not self.duration_ms:
            object.__setattr__(self, "duration_ms", len(self.data) / 2 / self.sample_rate * 1000)

    @property
    def audio(self) -> bytes:
        """The same as `data`."""
        return self.data


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of the conversation.

    Args:
        text: With `is_final` all the words of the item, otherwise the next piece of them.
        is_input: Whether the user said it.
        is_final: Whether the item is complete.
        item_id: Which item of the conversation, as in the session's events.
    """

    text: str
    is_input: bool
    is_final: bool
    item_id: str = ""

    @property
    def role(self) -> Role:
        """Who said it."""
        return "user" if self.is_input else "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """What went through a stream so far.

    Attributes:
        sent_bytes: The user's audio that the session took, in the session's format.
        received_bytes: The model's audio, in the stream's format.
        interrupted_bytes: Of that, what was dropped unread because the user spoke over the answer; nothing else is ever dropped.
        tool_calls: Tool calls answered.
        errors: Errors that the session survived.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    interrupted_bytes: int = 0
    tool_calls: int = 0
    errors: int = 0
