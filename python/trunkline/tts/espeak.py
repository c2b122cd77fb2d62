"""The door to the espeak-ng library (GPL-3, from the extra `local`): one per process, one caller at a time.

Source: espeak-ng's `speak_lib.h`. The library's state (voice, rate, pitch, callback) belongs to the process, so every use sets all of
it under one lock.
"""

import atexit
import ctypes
import os
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from trunkline.errors import MissingExtra, ProviderUnavailable

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")  # \x01 would begin a command embedded in the text

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_POSITION_IN_CHARACTERS = 1
_UTF8 = 1
_END_PAUSE = 0x1000
_RATE = 1
_PITCH = 3
_LIST_TERMINATED = 0
_WORD = 1
_END = 5
_LONGEST_DATA_PATH = 159  # bytes; a longer one is silently replaced by the path of the machine that built the library


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT`: `text_position` counts characters from 1, `audio_position` milliseconds from 0."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class WordEvent:
    """One word as espeak-ng speaks it: where it stands in the text, and when it is heard."""

    position: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Clause:
    """What one call of the library said: PCM16 mono at the library's rate."""

    pcm: bytes
    words: tuple[WordEvent, ...]


class Espeak:
    """The library, loaded and initialized."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as exc:
            raise MissingExtra("local", "local speech synthesis") from exc
        self._lock = threading.Lock()
        self._audio: list[bytes] = []
        self._events: list[tuple[int, int, int]] = []
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
            data_path = _short(espeakng_loader.get_data_path())
        except (OSError, RuntimeError) as exc:
            raise ProviderUnavailable("espeak-ng", "the library cannot be loaded") from exc
        _declare(self._library)
        # Without the option the library ends the process when it dislikes its data.
        self.sample_rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data_path), _DONT_EXIT)
        if self.sample_rate <= 0:
            raise ProviderUnavailable("espeak-ng", "the library cannot read its data")
        self._callback = _Callback(self._collect)  # must live as long as the library
        self._library.espeak_SetSynthCallback(self._callback)

    @staticmethod
    @cache
    def shared() -> "Espeak":
        """The one library of this process."""
        return Espeak()

    def has_voice(self, voice: str) -> bool:
        """Whether the voice can be spoken with."""
        with self._lock:
            return self._set_voice(voice)

    def speak(self, text: str, *, voice: str, rate_wpm: int, pitch: int, pause_after: bool) -> Clause | None:
        """Speak one short text, blocking; None if the library refused. The text must hold neither `CONTROL` characters nor surrogates."""
        encoded = text.encode()
        flags = _UTF8 | (_END_PAUSE if pause_after else 0)
        with self._lock:
            self._audio.clear()
            self._events.clear()
            if not self._set_voice(voice):
                return None
            self._library.espeak_SetParameter(_RATE, rate_wpm, 0)
            self._library.espeak_SetParameter(_PITCH, pitch, 0)
            if self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_IN_CHARACTERS, 0, flags, None, None):
                return None
            pcm = b"".join(self._audio)
            events = list(self._events)
        return Clause(pcm, _timed(events, len(pcm) // 2 * 1000 // self.sample_rate))

    def _set_voice(self, voice: str) -> bool:
        return bool(self._library.espeak_SetVoiceByName(voice.encode("utf-8", "replace")) == 0)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        """The synthesis callback: called within `espeak_Synth`, so under the lock."""
        if samples and count > 0:
            self._audio.append(ctypes.string_at(samples, count * 2))
        index = 0
        while events[index].type != _LIST_TERMINATED:
            event = events[index]
            self._events.append((event.type, event.text_position - 1, event.audio_position))
            index += 1
        return 0


def _declare(library: ctypes.CDLL) -> None:
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetSynthCallback.restype = None
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]


def _timed(events: list[tuple[int, int, int]], duration_ms: int) -> tuple[WordEvent, ...]:
    """Each word ends where the next begins or the clause ends."""
    marks = [event for event in events if event[0] in {_WORD, _END}]
    ends = [start_ms for _, _, start_ms in marks[1:]] + [duration_ms]
    return tuple(
        WordEvent(position, start_ms, max(start_ms, end_ms))
        for (kind, position, start_ms), end_ms in zip(marks, ends, strict=True)
        if kind == _WORD
    )


def _short(data_path: str) -> str:
    """A path to the same data that the library can hold; a link in the temporary directory if need be."""
    if len(os.fsencode(data_path)) <= _LONGEST_DATA_PATH:
        return data_path
    directory = tempfile.mkdtemp(prefix="trunkline-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    link = Path(directory, Path(data_path).name)
    link.symlink_to(data_path, target_is_directory=True)
    return str(link)
