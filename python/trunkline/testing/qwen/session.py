"""One session of the service: what it does beyond OpenAI's."""

from collections.abc import Mapping
from typing import Any

from trunkline.testing.brain import Brain
from trunkline.testing.line import Line
from trunkline.testing.openai.refusal import Refusal
from trunkline.testing.openai.session import Pace, Session
from trunkline.testing.qwen.profiles import Profile
from trunkline.testing.qwen.settings import QwenSettings

_LARGEST_IMAGE = 256 * 1024


class QwenSession(Session):
    """A session as the service has it; tests may read it at any time.

    Args:
        line: The connection.
        brain: Hears, decides and speaks.
        pace: What takes how long.
        settings: The session object.
        model: The model's name.
        profile: Its family.
        idle_limit: Seconds without an event of the client's after which the connection is cut.
    """

    def __init__(
        self,
        line: Line,
        brain: Brain,
        pace: Pace,
        settings: QwenSettings,
        *,
        model: str,
        profile: Profile,
        idle_limit: float,
    ) -> None:
        super().__init__(line, brain, pace, settings, model=model)
        self._told = settings
        self._profile = profile
        self._idle_limit = idle_limit
        self._heard_at = pace.clock.now()
        self._has_audio = False

    @property
    def settings(self) -> Mapping[str, Any]:
        """The session object, as the last `session.updated` sent it."""
        return self._told.told

    async def _read(self) -> None:
        self._tasks.start_soon(self._cut_when_idle)
        await super()._read()

    async def _cut_when_idle(self) -> None:
        clock = self._pace.clock
        while clock.now() < self._heard_at + self._idle_limit:
            await clock.sleep_until(self._heard_at + self._idle_limit)
        await self._line.cut("nothing was sent for too long")

    async def _expire(self) -> None:
        await self._pace.clock.sleep_until(self._began + self._pace.session_limit)
        await self._line.cut("the session has reached its limit")

    def _take(self, event: Mapping[str, Any]) -> None:
        self._heard_at = self._pace.clock.now()
        match event["type"]:
            case "session.finish":
                if not self._profile.finishes:
                    raise Refusal("invalid_value", "Invalid event type: 'session.finish'.", "type")
                self._emit("session.finished")
            case "input_image_buffer.append":
                if not self._has_audio:
                    raise Refusal("invalid_value", "Error append image before append audio.")
                if len(event["image"]) > _LARGEST_IMAGE:
                    raise Refusal("invalid_value", "The image is too large.", "image")
            case kind:
                self._has_audio = self._has_audio or kind == "input_audio_buffer.append"
                super()._take(event)
