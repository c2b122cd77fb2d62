"""The JSON of the simulated REST interface."""

from email.utils import format_datetime
from typing import Any, Final
from uuid import uuid4

from trunkline.testing.twilio.orders import UNLISTED, CommandRefused
from trunkline.testing.twilio.phone import PhoneCall
from trunkline.testing.twilio.webhooks import CallRecord

VERSION: Final = "2010-04-01"


def call_resource(call: PhoneCall, *, queue_time_ms: int) -> dict[str, Any]:
    """A call, as it is told when it was created, changed or read."""
    record, switch = call.record, call.switch
    path = f"/{VERSION}/Accounts/{record.account_sid}/Calls/{record.call_sid}"
    began = format_datetime(switch.began) if switch.status not in {"queued", "ringing"} else None
    return {
        "sid": record.call_sid,
        "account_sid": record.account_sid,
        "api_version": VERSION,
        "status": switch.status,
        "direction": record.direction,
        "from": record.from_,
        "from_formatted": record.from_,
        "to": record.to,
        "to_formatted": record.to,
        "date_created": began,
        "date_updated": began,
        "start_time": began,
        "end_time": format_datetime(switch.over) if switch.ended else None,
        "duration": str(round(switch.duration_s)) if switch.ended else None,
        "price": None,
        "price_unit": "USD",
        "answered_by": None,
        "caller_name": None,
        "forwarded_from": None,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": None,
        "trunk_sid": None,
        "annotation": None,
        "queue_time": str(queue_time_ms),
        "uri": f"{path}.json",
        "subresource_uris": {kind: f"{path}/{kind.title()}.json" for kind in ("recordings", "streams", "events")},
    }


class Recording:
    """A recording of a call: nothing but its state."""

    def __init__(self, record: CallRecord, *, channels: str) -> None:
        self.sid = f"RE{uuid4().hex}"
        self.status = "in-progress"
        self._record = record
        self._channels = channels

    def change(self, status: str) -> None:
        """Pause it, go on, or stop it.

        Raises:
            CommandRefused: There is no such status.
        """
        if status not in {"paused", "in-progress", "stopped"}:
            raise CommandRefused(400, UNLISTED, f"Status {status!r} is none of paused, in-progress and stopped")
        self.status = status

    def resource(self) -> dict[str, Any]:
        """The recording as it is told."""
        record = self._record
        return {
            "sid": self.sid,
            "account_sid": record.account_sid,
            "call_sid": record.call_sid,
            "api_version": VERSION,
            "status": self.status,
            "channels": 2 if self._channels == "dual" else 1,
            "source": "StartCallRecordingAPI",
            "uri": f"/{VERSION}/Accounts/{record.account_sid}/Calls/{record.call_sid}/Recordings/{self.sid}.json",
        }
