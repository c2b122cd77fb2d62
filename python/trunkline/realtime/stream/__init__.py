"""Audio in, audio and transcripts out: `process_audio_stream`."""

from trunkline.realtime.stream.stream import AudioStream, StreamContract

__all__ = ["AudioStream", "StreamContract"]
