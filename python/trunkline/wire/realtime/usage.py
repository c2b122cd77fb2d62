"""What an answer cost, in tokens, whoever the vendor is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost, in tokens: in all, and of what kind where the vendor says so.

    Cached tokens are among those of the input, and cost less; reasoning tokens are among those of the output.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    cached_tokens: int = 0
    cached_text_tokens: int = 0
    cached_audio_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    reasoning_tokens: int = 0
