"""Names and padding that the service makes up: ids in its shapes, and the obfuscation of text deltas."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """An id such as `item_` and 21 letters or digits; `call_` has 16 of them."""
    return f"{prefix}_{_random(16 if prefix == 'call' else 21)}"


def padding(delta: str) -> str:
    """The `obfuscation` of a text delta: with it the delta is a multiple of 16 characters long."""
    return _random(-len(delta) % 16 or 16)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
