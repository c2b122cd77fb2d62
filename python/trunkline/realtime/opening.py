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
    dial: Callable[[], AbstractAsyncContextManager[MessageStream]],
    *set_ups: Callable[[MessageStream], Awaitable[S | None]],
    refused: Callable[[TransportError | RemoteProtocolError], ProviderError],
    timeout: float,
    clock: Clock,
) -> AsyncIterator[S]:
    """A session on a new connection; leaving the block closes it.

    Args:
        dial: Opens a connection, and keeps the deadline by itself.
        set_ups: The first makes a session of the connection, or gives None; then the next has a connection of its own to do so. The last
            never gives None.
        refused: The error for the program, of what the connection or the setup failed with.
        timeout: Seconds for all of it together.
        clock: Where time comes from.

    Raises:
        ProviderError: There is no session.
    """
    refusal: ProviderError | None = None
    async with AsyncExitStack() as stack:
        session: S | None = None
        try:
            deadline = clock.now() + timeout
            for set_up in set_ups:
                stream = await stack.enter_async_context(dial())
                with clock.move_on_after(max(0.0, deadline - clock.now())) as scope:
                    session = await set_up(stream)
                if session is not None:
                    break
                if scope.cancelled_caught:
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
