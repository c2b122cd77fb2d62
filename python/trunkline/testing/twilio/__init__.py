"""A person who calls over Twilio, or is called, and the carrier between."""

from trunkline.testing.twilio.callee import TwilioCallee
from trunkline.testing.twilio.caller import TwilioCaller
from trunkline.testing.twilio.rest import Hang, Late, Refuse, TwilioSimulator

__all__ = ["Hang", "Late", "Refuse", "TwilioCallee", "TwilioCaller", "TwilioSimulator"]
