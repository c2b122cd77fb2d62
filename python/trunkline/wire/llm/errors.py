"""What the vendors of language models have in common in what goes wrong."""

from trunkline.errors import ConnectionFailed, ProviderError


def truncated(vendor: str) -> ProviderError:
    """The stream is over, and the answer is not."""
    return ConnectionFailed("the stream ended before the answer was complete", "truncated", vendor=vendor)
