"""Sessions that outlive the vendor's: replaced before their limit, taken up again when they break or freeze.

`LastingProvider` wraps a provider and is one itself. What it gives is one session made of many (`leg`), one after the other: each is told
what went before (`history`), hears again what the one before it may not have understood (`input_log`), and owes what that one owed. A
replacement is planned for a moment when nobody has the floor (`floor`), and then the old session serves until the new one is ready; a
session that broke, or that the `watchdog` finds frozen, is replaced at once. The user of the session sees `SessionRotated`.
"""

from trunkline.realtime.reconnect.policy import ReconnectPolicy
from trunkline.realtime.reconnect.provider import LastingProvider
from trunkline.realtime.reconnect.session import LastingSession
from trunkline.realtime.reconnect.watchdog import Watchdog

__all__ = ["LastingProvider", "LastingSession", "ReconnectPolicy", "Watchdog"]
