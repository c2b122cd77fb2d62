"""The sessions of a gateway that are opened while phones ring and media sockets are on their way."""

from collections.abc import Callable

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.pipeline import BridgeConfig
from trunkline.pipeline.prepared import PreparedSession


class PreparedSessions:
    """Opens a session for each call that was accepted, and keeps it until the call's bridge takes it.

    Args:
        config: What the bridges are made of.
        lifetime: Seconds after which a session that nobody took is closed.
        run_soon: Runs something in a task of the gateway.
        clock: What that is measured by.
    """

    def __init__(self, config: BridgeConfig, *, lifetime: float, run_soon: Callable[..., None], clock: Clock) -> None:
        self._config = config
        self._lifetime = lifetime
        self._run_soon = run_soon
        self._clock = clock
        self._by_call: dict[str, PreparedSession] = {}

    def open(self, call_id: str, audio_format: AudioFormat) -> None:
        """Open a session for a call whose line has this format; it does not wait for it."""
        session = PreparedSession(self._config.provider, self._config.session_config(audio_format), clock=self._clock)
        self._by_call[call_id] = session
        self._run_soon(self._keep, call_id, session)

    def take(self, call_id: str) -> PreparedSession | None:
        """The session of a call, for its bridge."""
        return self._by_call.pop(call_id, None)

    def cancel(self, call_id: str) -> None:
        """The call will not come."""
        if (session := self._by_call.get(call_id)) is not None:
            session.cancel()

    async def _keep(self, call_id: str, session: PreparedSession) -> None:
        try:
            await session.run(self._lifetime)
        finally:
            if self._by_call.get(call_id) is session:
                del self._by_call[call_id]
