"""TLS: whom to trust."""

import ssl
from functools import cache


@cache
def system_trust() -> ssl.SSLContext:
    """The system's certificates, read once: reading them takes some 30 ms."""
    return ssl.create_default_context()
