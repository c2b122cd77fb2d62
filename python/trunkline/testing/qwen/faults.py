"""Faults that only this service has."""

from collections.abc import Sequence

from trunkline.testing.faults import Close, Drop, Fault, MalformedJson

_QUOTA = '{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted."}'


def quota_used_up(on: str = "session.created") -> Sequence[Fault]:
    """A frame without a type says that the quota is used up, and with the next event the connection breaks."""
    return [MalformedJson(on=on, text=_QUOTA), Drop()]


def throttled(on: str) -> Fault:
    """The service closes the connection because there were too many requests, in its own words."""
    return Close(on=on, code=1011, reason="To many requests. Your requests are being throttled by the system.")
