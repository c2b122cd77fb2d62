"""The audio of a simulated call, both ways, frame by frame on the caller's clock."""

from typing import Final

from trunkline.testing.timeline import Timeline

FRAME_MS: Final = 20
FRAME_BYTES: Final = 160
SILENCE: Final = b"\xff"


class CallAudio:
    """What the caller has to say, and what was sent and heard: µ-law at 8 kHz, both on one time base that begins with the first stream.

    Between two streams of a call nothing is sent and nothing heard, which is kept as silence.

    Args:
        timeline: Told when a side begins to speak and when it falls silent.
    """

    def __init__(self, *, timeline: Timeline) -> None:
        self.sent = bytearray()
        self.heard = bytearray()
        self.began_ms: float | None = None
        self.agent_speaks = False
        self.quiet_frames = 0
        self._timeline = timeline
        self._unsaid = bytearray()
        self._caller_speaks = False

    @property
    def all_said(self) -> bool:
        """Whether everything that the caller has to say has left."""
        return not self._unsaid and not self._caller_speaks

    def say(self, mulaw: bytes) -> None:
        """Queue speech behind what is still to be said."""
        self._unsaid += mulaw

    def begin_stream(self) -> None:
        """The first frame of a stream is about to come."""
        now = self._timeline.elapsed_ms()
        if self.began_ms is None:
            self.began_ms = now
        reached = round((now - self.began_ms) / FRAME_MS) * FRAME_BYTES
        self.sent.extend(SILENCE * (reached - len(self.sent)))
        self.heard.extend(SILENCE * (reached - len(self.heard)))

    def end_stream(self) -> None:
        """The stream is over: nobody hears anything."""
        if self.agent_speaks:
            self.hear(b"", queued=False)

    def next_sent(self) -> bytes:
        """The caller's next frame: speech, filled up with silence."""
        speech = bytes(self._unsaid[:FRAME_BYTES])
        del self._unsaid[:FRAME_BYTES]
        if speech and not self._caller_speaks:
            self._caller_speaks = True
            self._timeline.note("caller speaks")
        frame = speech.ljust(FRAME_BYTES, SILENCE)
        self.sent += frame
        return frame

    def frame_left(self) -> None:
        """The frame taken last is on its way."""
        if self._caller_speaks and not self._unsaid:
            self._caller_speaks = False
            self._timeline.note("caller quiet")

    def hear(self, frame: bytes, *, queued: bool) -> None:
        """Keep one frame as the caller heard it; `queued` tells whether it was the agent's."""
        self.heard += frame
        self.quiet_frames = 0 if queued else self.quiet_frames + 1
        if queued is not self.agent_speaks:
            self.agent_speaks = queued
            self._timeline.note("agent speaks" if queued else "agent quiet")
        self._timeline.wake()
