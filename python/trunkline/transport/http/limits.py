"""How much, and for how long, a server bears with one peer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Sizes in bytes, times in seconds.

    Args:
        header: Request line and headers together; more is answered 431.
        body: A request's body, however it is framed; more is answered 413.
        header_timeout: From the first byte of a request to the end of its headers, and for TLS; then 408.
        body_timeout: For the whole body; then 408.
        handler_timeout: For a handler's answer, not for a WebSocket; then 503.
        write_timeout: For the other side to take a response, or one WebSocket message.
        idle_timeout: Between two requests.
        first_timeout: From the opening of a connection to the first byte of its first request.
        linger_timeout: For the other side to read a refusal before the socket goes.
        close_timeout: For the other side to answer the close frame of a WebSocket.
        connections: Open at once. For one more the oldest that has not asked for anything yet, or waits between two requests, is closed;
            where there is none, it is answered 503.
    """

    header: int = 32_768
    body: int = 65_536
    header_timeout: float = 10.0
    body_timeout: float = 10.0
    handler_timeout: float = 30.0
    write_timeout: float = 10.0
    idle_timeout: float = 30.0
    first_timeout: float = 10.0
    linger_timeout: float = 1.0
    close_timeout: float = 2.0
    connections: int = 1000
