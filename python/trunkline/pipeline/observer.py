"""Showing the media of a call to the program that asked for it."""

import logging
from collections.abc import Callable
from typing import Literal, Protocol

logger = logging.getLogger("trunkline.pipeline")

MediaObserver = Callable[[Literal["in", "out"], bytes], None]
"""Is shown each piece of the caller's audio as it comes ("in") and of the agent's as it goes to the carrier ("out")."""


class MediaRecorder(Protocol):
    """Is shown the audio of one call with its times; plain methods that return at once, in the event loop."""

    def caller_audio(self, audio: bytes, timestamp_ms: int | None) -> None:
        """Audio of the caller came; `timestamp_ms` is the carrier's, where it has one."""

    def agent_audio(self, audio: bytes, begins: float) -> None:
        """Audio went to the carrier; the caller hears it from `begins` on, in seconds of the call's clock."""

    def agent_cut(self, size: int) -> None:
        """The last `size` bytes that went to the carrier will not be heard."""


class MediaTap:
    """Shows audio to an observer, a recorder, or both; one that raises is not called again."""

    def __init__(self, observer: MediaObserver | None, recorder: MediaRecorder | None = None) -> None:
        self._observer = observer
        self._recorder = recorder

    def came(self, audio: bytes, timestamp_ms: int | None) -> None:
        """The caller's audio came in."""
        if self._observer is not None:
            self._show("in", audio)
        if self._recorder is not None:
            self._record(self._recorder.caller_audio, audio, timestamp_ms)

    def goes(self, audio: bytes, begins: float) -> None:
        """The agent's audio goes to the carrier, and will be heard from `begins` on."""
        if self._observer is not None:
            self._show("out", audio)
        if self._recorder is not None:
            self._record(self._recorder.agent_audio, audio, begins)

    def cut(self, size: int) -> None:
        """The end of what went to the carrier will not be heard."""
        if self._recorder is not None:
            self._record(self._recorder.agent_cut, size)

    def _show(self, direction: Literal["in", "out"], audio: bytes) -> None:
        assert self._observer is not None  # noqa: S101 - asked by whoever calls this
        try:
            self._observer(direction, audio)
        except Exception:
            logger.exception("the media observer failed, and is not called again in this call")
            self._observer = None

    def _record(self, show: Callable[..., None], *what: object) -> None:
        try:
            show(*what)
        except Exception:
            logger.exception("the recorder failed, and is not called again in this call")
            self._recorder = None
