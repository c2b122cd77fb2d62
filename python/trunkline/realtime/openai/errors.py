"""What OpenAI Realtime reports as an error, as errors that never show the key."""

from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from trunkline.errors import ProviderError
from trunkline.realtime.error_map import ConnectionErrors, VendorErrors
from trunkline.wire.realtime.openai import errors as openai_errors
from trunkline.wire.realtime.openai.events import VendorError


class Errors(VendorErrors, Protocol):
    """How a vendor of this protocol says what went wrong: what its module `errors` in `trunkline.wire` has."""

    @property
    def VENDOR(self) -> str:  # noqa: N802 - a constant of the module
        """The vendor's name."""
        ...

    @property
    def ENDINGS(self) -> Collection[str]:  # noqa: N802 - likewise
        """Codes of errors after which the session is over."""
        ...

    def is_benign(self, error: VendorError) -> bool:
        """Whether a call goes on as if nothing had happened."""
        ...

    def error_from(self, error: VendorError) -> ProviderError:
        """Of an `error` event, a failed response or transcription."""
        ...


class ErrorMap(ConnectionErrors):
    """Makes provider errors of the failures of one key's connections.

    Args:
        key: What to take out of the vendor's words, besides whatever looks like one of its keys.
        wire: How the vendor says what went wrong.
    """

    def __init__(self, key: str = "", wire: Errors = openai_errors) -> None:
        super().__init__(wire.VENDOR, wire, key)
        self.wire = wire

    def reported(self, error: VendorError) -> ProviderError:
        """What an `error` event says, or a response or a transcription that failed."""
        return self.wire.error_from(replace(error, message=self.hidden(error.message)))
