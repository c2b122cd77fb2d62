"""Reading a call's line: each event of the carrier to whom it concerns."""

import logging
from collections.abc import Callable

from trunkline.clock import Clock
from trunkline.errors import CallError, ConnectionLost, RemoteProtocolError, TransportError
from trunkline.pipeline.events import AudioCount, EventLog, EventType
from trunkline.pipeline.playout import Playout
from trunkline.pipeline.uplink import Uplink
from trunkline.telephony.line import CallLine
from trunkline.wire.telephony.events import (
    Cleared,
    DtmfReceived,
    ErrorReceived,
    MarkReceived,
    MediaReceived,
    StreamStopped,
)

logger = logging.getLogger("trunkline.pipeline")

TOLERATED_ERRORS = 50
"""How many messages of the carrier that cannot be read a call survives."""
CHECKS = 4
"""How often in its time limit the watchdog looks whether audio came."""


async def read_line(
    line: CallLine, uplink: Uplink, playout: Playout, log: EventLog, on_end: Callable[[str], None]
) -> None:
    """Pass on what the carrier says until it is over, and tell `on_end` why; nothing here waits but for the line."""
    for _ in range(TOLERATED_ERRORS):
        try:
            while True:
                event = await line.receive()
                match event:
                    case MediaReceived():
                        uplink.push(event.payload, event.timestamp_ms)
                    case MarkReceived():
                        playout.mark_received(event.name)
                    case Cleared():
                        playout.cleared()
                    case DtmfReceived():
                        log.emit(EventType.DTMF, digit=event.digit)
                    case ErrorReceived():
                        log.report(CallError(event.message))
                    case StreamStopped():
                        on_end("caller_hung_up")
                        return
                    case _:
                        logger.debug("the carrier said %s", event)
        except RemoteProtocolError as error:
            log.report(error)
        except ConnectionLost as lost:
            logger.info("the line is gone: %s", lost)
            on_end("caller_hung_up" if lost.clean else "line_lost")
            return
        except TransportError as error:  # such as a message that is too large
            log.report(error)
            on_end("line_lost")
            return
    on_end("protocol_errors")


async def watch_media(
    received: AudioCount,
    timeout: float,
    on_end: Callable[[str], None],
    clock: Clock,
) -> None:
    """Tell `on_end` when no audio has come for `timeout` seconds; it is noticed a quarter of that late at most."""
    seen, silent_for = received.messages, 0
    while silent_for < CHECKS:
        await clock.sleep_until(clock.now() + timeout / CHECKS)
        silent_for = silent_for + 1 if received.messages == seen else 0
        seen = received.messages
    logger.info("no audio came for %g s", timeout)
    on_end("media_timeout")
