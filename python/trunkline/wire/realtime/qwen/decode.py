"""Qwen-Omni-Realtime, what the service sends: OpenAI's older dialect with words that may still change and errors without a type."""

from collections.abc import Mapping
from typing import Final

from trunkline.wire.fields import Fields, text_or
from trunkline.wire.realtime.openai.decode import Decoder, EventReader
from trunkline.wire.realtime.openai.events import InputTranscript, ServerEvent
from trunkline.wire.realtime.qwen.session import READER, read_session


def _words_so_far(event: Fields) -> ServerEvent:
    """All words of the user's item so far: those that are settled, and those that may still change."""
    return InputTranscript(
        text_or(event, "item_id"), text_or(event, "text"), is_final=False, pending=text_or(event, "stash")
    )


_OWN: Final[Mapping[str, EventReader]] = {
    f"conversation.item.input_audio_transcription.{name}": _words_so_far for name in ("delta", "text")
}

parse: Final = Decoder(READER, read_session, _OWN, bare_errors=True).parse
"""Read one message of the service."""
