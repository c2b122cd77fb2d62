"""Opening a session: one deadline for dialling and setup, and errors that do not show what the vendor's own words may repeat."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol, TypeVar

from trunkline.clock import Clock
from trunkline.errors import DeadlineExceeded, ProviderError, RemoteProtocolError, TransportError
from trunkline.transport import MessageStream


class _Closable(Protocol):
    async def aclose(self) -> None: ...


S = TypeVar("S", bound=_Closable)


@asynccontextmanager
async def open_session(
    dialling: AbstractAsyncContextManager[MessageStream],
    set_up: Callable[[MessageStream], Awaitable[S]],
    *,
    refused: Callable[[TransportError | RemoteProtocolError], ProviderError],
    timeout: float,
    clock: Clock,
) -> AsyncIterator[S]:
    """A session on a new connection; leaving the block closes it.

    Args:
        dialling: Opens the connection, and keeps the deadline by itself.
        set_up: Makes the session of it.
        refused: The error for the program, of what the connection or the setup failed with.
        timeout: Seconds for both together.
        clock: Where time comes from.

    Raises:
        ProviderError: There is no session.
    """
    refusal: ProviderError | None = None
    async with AsyncExitStack() as stack:
        session: S | None = None
        try:
            deadline = clock.now() + timeout
            stream = await stack.enter_async_context(dialling)
            with clock.move_on_after(max(0.0, deadline - clock.now())):
                session = await set_up(stream)
            if session is None:
                raise DeadlineExceeded("setting up a session", timeout)
        except (TransportError, RemoteProtocolError) as error:
            refusal = refused(error)
        if session is None:
            assert refusal is not None  # noqa: S101 - the one or the other
            raise refusal  # here, so that the vendor's own words, which may repeat the key, are not even its context
        try:
            yield session
        finally:
            await session.aclose()
