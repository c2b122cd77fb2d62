"""Thinking that a server puts into the text itself, between `<think>` and `</think>` at its beginning: it is not for the caller."""

from typing import Final

_BEGIN: Final = "<think>"
_END: Final = "</think>"


class ThinkingFilter:
    """Takes the thinking out of a text that comes in pieces; the tags may be divided anywhere."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def feed(self, text: str) -> str:
        """What may be told of the text so far, after this piece of it."""
        if self._state == "text":
            return text
        self._held += text
        if self._state == "start":
            begun = self._held.lstrip()
            if not begun or (len(begun) < len(_BEGIN) and _BEGIN.startswith(begun)):
                return ""
            self._state = "thinking" if begun.startswith(_BEGIN) else "text"
        if self._state == "thinking":
            end = self._held.find(_END)
            if end < 0:
                return ""
            self._held = self._held[end + len(_END) :]
            self._state = "behind"
        if self._state == "behind":
            self._held = self._held.lstrip()
            if not self._held:
                return ""
            self._state = "text"
        held, self._held = self._held, ""
        return held

    def end(self) -> str:
        """What was held back in case it became a tag; nothing of thinking that has no end."""
        held, self._held = self._held, ""
        return held if self._state == "start" else ""
