"""What all checks share: how a scene is set, and which checks apply to a provider."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import anyio

from trunkline.audio import AudioFormat, convert
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeSession
from trunkline.testing.brain import tone
from trunkline.testing.suites.realtime_listener import Listener, expect
from trunkline.testing.suites.realtime_stage import Scene, Trouble, Vendor

_EAR = AudioFormat("linear16", 16_000)
_PIECE_MS = 100

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Played:
    """A scene in play: the vendor, a session with it, and who listens."""

    vendor: Vendor
    session: RealtimeSession
    listener: Listener


class RealtimeChecks:
    """The frame of the checks; a subclass says what it tests."""

    capabilities: ClassVar[Capabilities]
    troubles: ClassVar[Collection[Trouble]] = ()
    lasting: ClassVar[bool] = False
    patience: ClassVar[float] = 20.0

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[Vendor]:
        """A vendor that plays this scene; you must write this."""
        raise NotImplementedError(f"{type(self).__name__}.vendor is for you to write")

    def utterance(self) -> bytes:
        """What the vendor's voice activity detection takes for speech, PCM16 mono at 16 kHz; a loud tone unless you say otherwise."""
        return tone(700, rate=_EAR.sample_rate)

    @asynccontextmanager
    async def playing(
        self, scene: Scene, config: ProcessConfig | None = None, *, trouble: Trouble | None = None
    ) -> AsyncIterator[Played]:
        """One session with a vendor that plays the scene, all of it within the suite's patience.

        Raises:
            AssertionError: Time was up.
        """
        listener: Listener | None = None
        try:
            with anyio.fail_after(self.patience):
                async with self.vendor(scene) as vendor:
                    if trouble is not None:
                        vendor.inflict(trouble)
                    async with vendor.provider.connect(config or ProcessConfig()) as session:
                        listener = Listener(session)
                        yield Played(vendor, session, listener)
        except TimeoutError:
            heard = listener.told() if listener is not None else "no session"
            raise AssertionError(f"the check took longer than {self.patience:g} s; it saw {heard}") from None

    def spoken(self, audio: AudioFormat, *, silence_ms: int = 1000) -> bytes:
        """Something that the user says, in this format, with enough silence behind it to end the turn."""
        pcm = bytes(_EAR.frame_bytes(300)) + self.utterance() + bytes(_EAR.frame_bytes(silence_ms))
        return convert(pcm, _EAR, audio)

    async def speak(self, session: RealtimeSession, *, piece: int | None = None) -> bytes:
        """Let the user say something, in pieces of 100 ms or of so many bytes; returns what was sent."""
        audio = self.spoken(session.input_format)
        size = piece or session.input_format.frame_bytes(_PIECE_MS)
        for begin in range(0, len(audio), size):
            await session.send_audio(audio[begin : begin + size])
        return audio

    async def end_turn(self, session: RealtimeSession) -> None:
        """Have the user's turn answered, where the vendor does not do so by itself."""
        if not session.capabilities.answers_turns:
            if session.capabilities.commit:
                await session.commit_audio()
            await session.create_response()

    async def arrived(self, vendor: Vendor, sent: bytes) -> None:
        """Wait until the vendor has heard all of this, and nothing else.

        Raises:
            AssertionError: It heard something else.
        """
        await self.until(lambda: len(vendor.heard) >= len(sent))
        expect(vendor.heard == sent, "what the vendor heard is not what was sent")

    def running(self) -> int:
        """How many tasks the event loop has."""
        return len(anyio.get_running_tasks())

    async def settled(self, vendor: Vendor | None, tasks: int) -> None:
        """Wait until the vendor, if it still runs, has no session and no more tasks run than `tasks`.

        Raises:
            AssertionError: They stay.
        """
        with anyio.move_on_after(self.patience):
            await self.until(lambda: not (vendor is not None and vendor.open_sessions) and self.running() <= tasks)
            return
        left = sorted(str(task.name) for task in anyio.get_running_tasks())
        raise AssertionError(f"these tasks are left, of {tasks} before: {left}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; what it looks at has no way to tell."""
        while not condition():  # noqa: ASYNC110 - neither the event loop nor the system sets an event
            await anyio.sleep(0.002)


def offered(condition: Callable[[type[RealtimeChecks]], bool]) -> Callable[[_F], _F]:
    """A check that is there only for the suites for which the condition holds."""

    def mark(check: _F) -> _F:
        check.offered = condition  # type: ignore[attr-defined]
        return check

    return mark


def with_trouble(trouble: Trouble) -> Callable[[_F], _F]:
    """A check that is there only where the vendor can be made to suffer this."""
    return offered(lambda suite: trouble in suite.troubles)


def with_capability(name: str, *, value: bool = True) -> Callable[[_F], _F]:
    """A check that is skipped where `Capabilities.<name>` is not `value`."""

    def mark(check: _F) -> _F:
        check.needs = {**getattr(check, "needs", {}), name: value}  # type: ignore[attr-defined]
        return check

    return mark


def skip_reason(suite: type[RealtimeChecks], check: Any) -> str:
    """Which capability keeps the check from being run; empty where it applies."""
    for name, value in getattr(check, "needs", {}).items():
        if getattr(suite.capabilities, name) != value:
            return f"Capabilities.{name} is {not value}"
    return ""
