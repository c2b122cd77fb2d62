"""The first events of a session, up to the one that says how it is."""

import logging
from collections.abc import Callable

from trunkline.errors import RemoteProtocolError
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.transport import MessageStream
from trunkline.wire.realtime.openai.events import ErrorReceived, ServerEvent, SessionCreated, SessionUpdated
from trunkline.wire.realtime.openai.session import SessionInfo

log = logging.getLogger(__name__)


async def wait_for_session(
    stream: MessageStream,
    kind: type[SessionCreated | SessionUpdated],
    parse: Callable[[str | bytes], ServerEvent],
    errors: ErrorMap,
) -> SessionInfo:
    """Read up to an event, past those that other servers send first; an error here is a refusal.

    Raises:
        ProviderError: The vendor said that it failed.
        RemoteProtocolError: The session cannot be read. Other events that cannot are passed over.
    """
    while True:
        message = await stream.receive()
        try:
            event = parse(message)
        except RemoteProtocolError as error:
            if error.path.startswith("session"):
                raise
            log.warning("passed over while a session is set up: %s", error)
            continue
        if isinstance(event, ErrorReceived):
            raise errors.reported(event.error)
        if isinstance(event, kind):
            return event.session
