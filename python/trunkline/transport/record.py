"""Writing down what goes over a message stream, without the secrets in it, and reading it again.

A recording is a text file with one JSON object per line:

    {"time": 0.0, "direction": "opened", "at": "2026-11-21T09:30:00+00:00"}
    {"time": 0.0213, "direction": "received", "text": "hello"}
    {"time": 0.0301, "direction": "sent", "base64": "AAECAw=="}
    {"time": 9.4402, "direction": "ended", "by": "them", "code": 1000, "reason": ""}

`time` counts seconds from the opening; directions, and "us" and "them", are seen from the side that recorded; text messages are kept as
text, binary ones as base64.
"""

import json
import logging
import os
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self, TextIO, TypeAlias
from urllib.parse import quote

import anyio
import anyio.to_thread

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, InvalidConfig, MessageTooLarge, RemoteProtocolError
from trunkline.transport.message_stream import MessageStream

__all__ = ["Ended", "Entry", "Message", "RecordedStream", "Recording", "Scrubber", "read_recording", "recorded"]

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds that `aclose()` waits for the disk."""

MAX_WAITING = 16 * 2**20
"""Bytes of messages that may wait for the disk: some minutes of audio both ways."""

HIDDEN = "[hidden]"
_SECRETS = (
    # keys by their shape
    (re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|ek)[-_]|AIza|auth_tokens/)[A-Za-z0-9_.~-]{6,}"), HIDDEN),
    # JSON fields that hold one, in JSON inside JSON too
    (
        re.compile(
            r'(\\*"(?:[\w-]*authorization|[\w-]*api[-_]?key|(?:[\w-]+[-_])?token|(?:[\w-]+[-_])?secret|password|(?:new)?handle)\\*"\s*:\s*\\*")'
            r'[^"\\]+',
            re.IGNORECASE,
        ),
        rf"\g<1>{HIDDEN}",
    ),
    # the queries of addresses
    (
        re.compile(r"([?&](?:key|(?:x-)?api[-_]?key|(?:[\w-]+[-_])?token|signature)=)[^&\s\"'\\#]+", re.IGNORECASE),
        rf"\g<1>{HIDDEN}",
    ),
    # headers and bearer tokens anywhere
    (re.compile(r"(\b[\w-]*api-key\s*[:=]\s*)[^\s\"'\\,]+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (
        re.compile(r"(\bauthorization\s*[:=]\s*)(?:(?:basic|bearer|token)\s+)?[^\s\"'\\,]+", re.IGNORECASE),
        rf"\g<1>{HIDDEN}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{12,}", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
)


class Scrubber:
    """Takes secrets out of messages: those it is given, and whatever looks like a key or stands where one does.

    Args:
        secrets: Texts that must not be shown, as they are, as JSON writes them and as addresses do.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {
            spelt
            for secret in secrets
            if secret
            for spelt in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""))
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if spellings else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, instead in _SECRETS:
            text = pattern.sub(instead, text)
        return text

    def data(self, data: bytes) -> bytes:
        """The bytes without the secrets it was given, and where they hold JSON, as some vendors send it, without what looks like one."""
        if data[:1] in {b"{", b"["}:
            with suppress(UnicodeDecodeError):
                return self.text(data.decode()).encode()
        return data if self._known is None else self._known.sub(HIDDEN, data.decode("latin-1")).encode("latin-1")

    def message(self, message: str | bytes) -> str | bytes:
        """A message of either kind without secrets."""
        return self.text(message) if isinstance(message, str) else self.data(message)


@dataclass(frozen=True, slots=True)
class Message:
    """One message that was sent or received, `time` seconds after the opening."""

    time: float
    direction: Literal["sent", "received"]
    content: str | bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """Who ended the stream, `time` seconds after the opening, and how."""

    time: float
    by: Literal["us", "them"]
    code: int
    reason: str


Entry: TypeAlias = Message | Ended


class Recording:
    """A recording that is being written; `with Recording("call.jsonl") as recording`, or `await recording.aclose()` at its end.

    Lines are written in a thread, so a slow disk holds up nobody; all are with the system when the recording is closed. A disk that is
    full, gone or too slow ends the recording with a line in the log, never the stream.

    Args:
        path: Where to write. What is there already is kept: `call-2.jsonl` is written beside `call.jsonl`, and so on. Nobody but the
            program's own user may read the file.
        secrets: See `Scrubber`.
        clock: Where time comes from.

    Raises:
        InvalidConfig: No file can be made there.
    """

    def __init__(self, path: str | Path, *, secrets: Iterable[str] = (), clock: Clock = SYSTEM_CLOCK) -> None:
        self._scrubber = Scrubber(secrets)
        self._clock = clock
        self._file: TextIO | None
        self.path, self._file = _created(Path(path))
        self._began = clock.now()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trunkline recording")
        self._lock = Lock()
        self._waiting = 0
        self._ended = False
        self._put("opened", at=clock.wall().isoformat())

    def message(self, direction: Literal["sent", "received"], message: str | bytes) -> None:
        """Write a message down; this does not wait."""
        self._put(direction, message)

    def ended(self, by: Literal["us", "them"], code: int, reason: str) -> None:
        """Write down how the stream ended; nothing follows."""
        self._put("ended", by=by, code=code, reason=self._scrubber.text(reason))
        self._finish()

    def flush(self) -> None:
        """Wait until all lines so far are with the system."""
        if not self._ended:
            self._thread.submit(int).result()

    def close(self) -> None:
        """Stop writing, once all is written; any number of times. It blocks: use `aclose()` in an event loop."""
        self._finish()
        self._thread.shutdown()

    async def aclose(self) -> None:
        """Stop writing, once all is written or after some seconds; any number of times."""
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await anyio.to_thread.run_sync(self.close, abandon_on_cancel=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── in the event loop ────────────────────────────────────────────────────────────────────────────────────────────

    def _put(self, direction: str, message: str | bytes | None = None, **facts: object) -> None:
        if self._ended:
            return
        size = 0 if message is None else len(message)
        with self._lock:
            self._waiting += size
            too_much = self._waiting > MAX_WAITING
        if too_much:
            log.error("a recording ends early: the disk does not keep up")
            self._finish()
            return
        time = round(self._clock.now() - self._began, 6)
        self._thread.submit(self._write, {"time": time, "direction": direction, **facts}, message, size)

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._thread.submit(self._close_file)
            self._thread.shutdown(wait=False)

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, entry: dict[str, object], message: str | bytes | None, size: int) -> None:
        with self._lock:
            self._waiting -= size
        if self._file is None:
            return
        if isinstance(message, str):
            entry["text"] = self._scrubber.text(message)
        elif message is not None:
            entry["base64"] = b64encode(self._scrubber.data(message)).decode()
        try:
            self._file.write(json.dumps(entry) + "\n")
        except OSError as error:
            log.error("a recording ends early: %s", error.strerror)  # noqa: TRY400 - a full disk needs no traceback
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                log.error("a recording could not be finished: %s", error.strerror)  # noqa: TRY400 - a full disk needs no traceback


class RecordedStream:
    """A message stream that writes down what goes over it; otherwise it is the stream it wraps.

    Args:
        stream: Where messages go and come from.
        writer: Where they are written down.
    """

    def __init__(self, stream: MessageStream, writer: Recording) -> None:
        self._stream = stream
        self._writer = writer

    async def send(self, message: str | bytes) -> None:
        """Send one message, and write it down once it is sent; raises what the stream raises."""
        await self._stream.send(message)
        self._writer.message("sent", message)

    async def receive(self) -> str | bytes:
        """The next message, written down; raises what the stream raises."""
        try:
            message = await self._stream.receive()
        except ConnectionLost as end:
            self._writer.ended("them", end.code, end.reason)
            raise
        except MessageTooLarge as error:
            self._writer.ended("us", 1009, str(error))
            raise
        except RemoteProtocolError as error:
            self._writer.ended("us", 1002, str(error))
            raise
        self._writer.message("received", message)
        return message

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """End the stream, and the recording with it."""
        try:
            await self._stream.aclose(code, reason)
        finally:
            self._writer.ended("us", code, reason)


def recorded(
    connecting: AbstractAsyncContextManager[MessageStream],
    path: str | Path | None,
    *,
    secrets: Iterable[str] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> AbstractAsyncContextManager[MessageStream]:
    """What `connecting` gives, recorded at `path`; `connecting` itself where that is None.

        async with recorded(connect_websocket(url), "call.jsonl") as stream:
            ...

    Raises:
        InvalidConfig: No file can be made there.
    """
    return connecting if path is None else _recorded(connecting, path, secrets, clock)


@asynccontextmanager
async def _recorded(
    connecting: AbstractAsyncContextManager[MessageStream], path: str | Path, secrets: Iterable[str], clock: Clock
) -> AsyncIterator[MessageStream]:
    recording = await anyio.to_thread.run_sync(partial(Recording, path, secrets=secrets, clock=clock))
    try:
        async with connecting as stream:
            recorded_stream = RecordedStream(stream, recording)
            try:
                yield recorded_stream
            finally:
                await recorded_stream.aclose()
    finally:
        await recording.aclose()


def read_recording(path: str | Path) -> list[Entry]:
    """The messages of a recording in their order, and how it ended, if that is in it. A last line that was cut off is left out.

    Raises:
        InvalidConfig: There is no such file, or it is no recording.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig("path", f"{path} cannot be read") from error
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = _entry(json.loads(line))
        except (ValueError, KeyError, TypeError):
            if number == len(lines) and number > 1:
                break
            raise InvalidConfig("path", f"{path}, line {number}, is not part of a recording") from None
        if entry is not None:
            entries.append(entry)
    return entries


def _entry(line: Any) -> Entry | None:
    match line:
        case {"direction": "opened"}:
            return None
        case {"direction": "ended", "by": "us" | "them" as by, "code": int() as code, "reason": str() as reason}:
            return Ended(float(line["time"]), by, code, reason)
        case {"direction": "sent" | "received" as direction, "text": str() as text}:
            return Message(float(line["time"]), direction, text)
        case {"direction": "sent" | "received" as direction, "base64": str() as data}:
            return Message(float(line["time"]), direction, b64decode(data, validate=True))
        case _:
            raise ValueError("not a line of a recording")


def _private(path: str, flags: int) -> int:
    """What was said on a call is not for every user of the machine."""
    return os.open(path, flags, 0o600)


def _created(path: Path) -> tuple[Path, TextIO]:
    """A new file at this path, or beside it if it is taken; each line goes to the disk at once."""
    for number in count(1):
        place = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            return place, open(place, "x", encoding="utf-8", buffering=1, opener=_private)
        except FileExistsError:
            continue
        except OSError as error:
            raise InvalidConfig("path", f"no recording can be written to {place}: {error.strerror}") from error
    raise AssertionError("count() does not end")
