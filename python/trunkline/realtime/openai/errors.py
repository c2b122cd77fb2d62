"""What OpenAI Realtime reports as an error, as errors that never show the key."""

from dataclasses import replace

from trunkline.errors import ProviderError
from trunkline.realtime.error_map import ConnectionErrors
from trunkline.wire.realtime.openai import errors
from trunkline.wire.realtime.openai.events import VendorError
from trunkline.wire.realtime.openai.session import VENDOR


class ErrorMap(ConnectionErrors):
    """Makes provider errors of the failures of one key's connections.

    Args:
        key: What to take out of the vendor's words, besides whatever looks like one of its keys.
    """

    def __init__(self, key: str = "") -> None:
        super().__init__(VENDOR, errors, key)

    def reported(self, error: VendorError) -> ProviderError:
        """What an `error` event says, or a response or a transcription that failed."""
        return errors.error_from(replace(error, message=self.hidden(error.message)))
