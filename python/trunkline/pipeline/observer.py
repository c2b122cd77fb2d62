"""Showing the media of a call to the program that asked for it."""

import logging
from collections.abc import Callable
from typing import Literal

logger = logging.getLogger("trunkline.pipeline")

MediaObserver = Callable[[Literal["in", "out"], bytes], None]
"""Is shown each piece of the caller's audio as it comes ("in") and of the agent's as it goes to the carrier ("out")."""


class MediaTap:
    """Shows audio to an observer, in the event loop; one that raises is not called again."""

    def __init__(self, observer: MediaObserver) -> None:
        self._observer: MediaObserver | None = observer

    def show(self, direction: Literal["in", "out"], audio: bytes) -> None:
        """The caller's audio came in, or the agent's goes out."""
        if self._observer is None:
            return
        try:
            self._observer(direction, audio)
        except Exception:
            logger.exception("the media observer failed, and is not called again in this call")
            self._observer = None
