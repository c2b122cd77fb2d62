"""One answer of a model over HTTP: asked for, read as server-sent events, and asked for again where that helps."""

import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    InvalidConfig,
    ProviderError,
    RemoteProtocolError,
    TransportError,
)
from trunkline.llm.provider import AnswerEvent
from trunkline.transport import Backoff, HttpClient, HttpStream
from trunkline.transport.websocket.client import retry_after
from trunkline.wire.sse import ServerSentEvent, SseParser

log = logging.getLogger("trunkline.llm")

LONGEST_WAIT: Final = 2.0
"""Seconds: nobody on the telephone waits longer for another attempt. Whoever is told to is better served by another model."""

DRAIN_TIMEOUT: Final = 0.5
"""Seconds to wait, once the answer is complete, for the end of the response, so that the connection can be used again."""

_BACKOFF: Final = Backoff(first=0.3, longest=LONGEST_WAIT)
_SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTimeouts:
    """How long a model may take, in seconds, each above 0.

    Args:
        headers: From the request to the response's headers, the connection included.
        first: From the request to the first text or tool call.
        gap: Between two pieces of the stream, of whatever kind.
        whole: For the whole answer, all attempts included.

    Raises:
        InvalidConfig: A time is not above 0.
    """

    headers: float = 10.0
    first: float = 10.0
    gap: float = 15.0
    whole: float = 60.0

    def __post_init__(self) -> None:
        for name in ("headers", "first", "gap", "whole"):
            if not getattr(self, name) > 0:
                raise InvalidConfig(name, f"must be above 0, got {getattr(self, name)!r}")


class Decoder(Protocol):
    """Reads one answer of a vendor's: see `trunkline.wire.llm`."""

    is_over: bool

    def message(self, data: str) -> list[AnswerEvent]:
        """The data of one server-sent event."""
        ...

    def end(self) -> list[AnswerEvent]:
        """The stream is over."""
        ...


class ErrorFromStatus(Protocol):
    """What a vendor says by an HTTP status."""

    def __call__(
        self, status: int, body: str | bytes = "", *, retry_after: float | None = None, request_id: str | None = None
    ) -> ProviderError:
        """The error to raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What differs between vendors in how an answer is asked for.

    Attributes:
        name: As in the registry.
        path: Where answers are asked for, behind the base address.
        error_from_status: Reads a refusal.
        request_id_header: Where the id of a request stands in its answer.
    """

    name: str
    path: str
    error_from_status: ErrorFromStatus
    request_id_header: str


class AnswerSource:
    """Asks one server for answers, over connections that are kept.

    Args:
        vendor: Whose protocol it is.
        base_url: Where the interface is, checked.
        headers: Sent with each request.
        api_key: What never to show of what the server says.
        retries: How many more times an answer is asked for that failed before anything of it was told.
        timeouts: How long an answer may take.
        tls: What to trust; the system's certificates if None.
        proxy: As for `HttpClient`.
        clock: Where time comes from.
    """

    def __init__(
        self,
        vendor: Vendor,
        *,
        base_url: str,
        headers: Mapping[str, str],
        api_key: str,
        retries: int,
        timeouts: AnswerTimeouts | None,
        tls: ssl.SSLContext | None,
        proxy: str | None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if retries < 0:
            raise InvalidConfig("retries", f"must not be negative, got {retries!r}")
        self.vendor = vendor
        self.retries = retries
        self.timeouts = timeouts or AnswerTimeouts()
        self.clock = clock
        self._url = f"{base_url}/{vendor.path}"
        self._headers = tuple(headers.items())
        self._secret = api_key if len(api_key) >= _SHORTEST_SECRET else ""
        self._http = HttpClient(tls=tls, proxy=proxy, clock=clock)

    @asynccontextmanager
    async def answer(self, body: Mapping[str, Any], decoder: Callable[[], Decoder]) -> AsyncIterator["Answer"]:
        """One answer; leaving the block closes its stream."""
        answer = Answer(self, body, decoder)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def ask(self, body: Mapping[str, Any], seconds: float) -> HttpStream:
        """Send the request, once.

        Raises:
            ProviderError: It was refused, or nothing came of it.
        """
        self._http.open()
        try:
            stream = await self._http.stream("POST", self._url, headers=self._headers, json=body, timeout=seconds)
        except TransportError as error:
            raise self.failed(error) from error
        if stream.status == 200:
            return stream
        async with stream:
            raise await self._refused(stream, seconds)

    async def _refused(self, stream: HttpStream, seconds: float) -> ProviderError:
        text = b""
        try:
            with self.clock.move_on_after(seconds):
                text = await stream.read()
        except TransportError as error:
            log.debug("a refusal could not be read: %s", error)
        refusal = self.vendor.error_from_status(
            stream.status,
            text,
            retry_after=_wait(stream, self.clock),
            request_id=stream.headers.get(self.vendor.request_id_header) or None,
        )
        return self.hidden(refusal)

    def failed(self, error: TransportError) -> ProviderError:
        """A failure of the connection, as the vendor's."""
        code = "timeout" if isinstance(error, DeadlineExceeded) else None
        return ConnectionFailed(str(error), code, vendor=self.vendor.name)

    def hidden(self, error: ProviderError) -> ProviderError:
        """The same error; its words do not show the key."""
        if self._secret:
            error.message = error.message.replace(self._secret, "[hidden]")
            error.args = (error.message, error.code)
        return error

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._http.aclose()


class Answer:
    """The events of one answer, as an iterator."""

    def __init__(self, source: AnswerSource, body: Mapping[str, Any], decoder: Callable[[], Decoder]) -> None:
        self._source = source
        self._body = body
        self._new_decoder = decoder
        self._clock = source.clock
        self._deadline = self._clock.now() + source.timeouts.whole
        self._retries = source.retries
        self._delays = _BACKOFF.delays()
        next(self._delays)  # that of the first attempt
        self._events: deque[AnswerEvent] = deque()
        self._is_told = False
        self._stream: HttpStream | None = None
        self._begin()

    def _begin(self) -> None:
        self._decoder = self._new_decoder()
        self._parser = SseParser()
        self._messages: deque[ServerSentEvent] = deque()
        self._first_deadline = self._clock.now() + self._source.timeouts.first

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnswerEvent:
        while not self._events:
            if self._decoder.is_over:
                raise StopAsyncIteration
            try:
                await self._read()
            except ProviderError as error:
                await self._recover(self._source.hidden(error))
        self._is_told = True
        return self._events.popleft()

    async def _read(self) -> None:
        """Take one step: a message that has come, or the next bytes."""
        if self._messages:
            self._take(self._messages.popleft())
            return
        try:
            if self._stream is None:
                timeouts = self._source.timeouts
                self._stream = await self._source.ask(self._body, min(timeouts.headers, self._left()))
            data = await self._stream.receive(timeout=min(self._source.timeouts.gap, self._left()))
            if data:
                self._messages += self._parser.feed(data)
            else:
                self._events += self._decoder.end()
        except TransportError as error:
            raise self._source.failed(error) from error

    def _left(self) -> float:
        """Seconds until the answer, or its first event, must have come."""
        until = self._deadline if self._is_told else min(self._deadline, self._first_deadline)
        return max(0.0, until - self._clock.now())

    def _take(self, message: ServerSentEvent) -> None:
        if not message.data.strip():
            return
        try:
            self._events += self._decoder.message(message.data)
        except RemoteProtocolError as error:
            log.warning("passed over in an answer: %s", error)

    async def _recover(self, error: ProviderError) -> None:
        """Begin again after a failure that may pass, if nothing was told yet."""
        passes = error.may_fall_back and not error.is_permanent and (error.retry_after or 0.0) <= LONGEST_WAIT
        if self._is_told or not passes or not self._retries:
            raise error
        moment = self._clock.now() + max(next(self._delays), error.retry_after or 0.0)
        if moment >= self._deadline:
            raise error
        self._retries -= 1
        log.info("asked again, since an answer failed: %s", error)
        await self._drop()
        await self._clock.sleep_until(moment)
        self._begin()

    async def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    async def aclose(self) -> None:
        """Close the stream. That of a complete answer is read to its end, which is near."""
        try:
            if self._stream is not None and self._decoder.is_over:
                with self._clock.move_on_after(DRAIN_TIMEOUT):
                    while await self._stream.receive():
                        pass
        except TransportError as error:
            log.debug("after an answer: %s", error)
        finally:
            await self._drop()


def _wait(stream: HttpStream, clock: Clock) -> float | None:
    """How long the server asks to wait, in seconds."""
    milliseconds = stream.headers.get("retry-after-ms", "").strip()
    if milliseconds.isdecimal():
        return int(milliseconds) / 1000
    return retry_after(stream.headers.get("retry-after", ""), clock=clock)
