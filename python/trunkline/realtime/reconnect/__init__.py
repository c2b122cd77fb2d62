"""Conversations that outlive the sessions they are made of, over one provider or several.

`RealtimeClient` (`client`) is a provider made of providers (`candidates`). Its `session` is one conversation; a `supervisor` opens the
providers' sessions for it, one after the other. Each is told what went before (`history`), hears again what the one before it may not
have understood (`audio_replay`), and is asked for the answers that are still due (`turn_state`). A session is replaced in time, at a
quiet moment (`policy`), while it still serves; one that broke, or that the `watchdog` finds frozen, is replaced at once, by the next
provider if there is one. Whoever uses the conversation sees `SessionRotated`.
"""

from trunkline.realtime.reconnect.candidates import Attempt
from trunkline.realtime.reconnect.client import Client, ClientStats, RealtimeClient
from trunkline.realtime.reconnect.policy import ReconnectPolicy
from trunkline.realtime.reconnect.session import ReconnectingSession
from trunkline.realtime.reconnect.watchdog import Watchdog

__all__ = ["Attempt", "Client", "ClientStats", "RealtimeClient", "ReconnectPolicy", "ReconnectingSession", "Watchdog"]
