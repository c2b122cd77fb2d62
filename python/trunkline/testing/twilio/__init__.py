"""A person who calls over Twilio, and the carrier between."""

from trunkline.testing.twilio.caller import TwilioCaller

__all__ = ["TwilioCaller"]
