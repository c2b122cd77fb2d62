"""Audio in, audio and transcripts out: `process_audio_stream`."""

from trunkline.realtime.stream.contract import StreamContract
from trunkline.realtime.stream.stream import ProviderStream

__all__ = ["ProviderStream", "StreamContract"]
