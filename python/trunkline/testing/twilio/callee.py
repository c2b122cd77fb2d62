"""A person whose phone rings when your gateway dials."""

from os import PathLike
from types import TracebackType
from typing import Literal, Self

import anyio

from trunkline.clock import Clock
from trunkline.errors import CallError, DeadlineExceeded
from trunkline.testing.speech_file import read_speech
from trunkline.testing.twilio.phone import PhoneCall, TwilioPhone
from trunkline.testing.twilio.switch import Pickup

AnsweredBy = Literal[
    "human", "machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax", "unknown"
]
"""What Twilio's detection of answering machines says."""


class TwilioCallee(TwilioPhone):
    """The telephone that the next call rings, from `TwilioSimulator.next_call()`; once it rings it is as a `TwilioCaller`.

    Leaving the block hangs up. Before it rings there is no call: what asks about one raises `CallError`.

    Args:
        speech: What the person says first: µ-law bytes, or a file.
        clock: What deadlines are measured by.
    """

    def __init__(self, *, speech: str | PathLike[str] | bytes | None, clock: Clock) -> None:
        self._speech = speech
        self._clock = clock
        self._rung: PhoneCall | None = None
        self._rings = anyio.Event()

    @property
    def _call(self) -> PhoneCall:  # type: ignore[override] # the call comes later
        if self._rung is None:
            raise CallError("the phone has not rung")
        return self._rung

    @property
    def has_rung(self) -> bool:
        """Whether there is, or was, a call."""
        return self._rung is not None

    @property
    def from_(self) -> str:
        """The number that is shown."""
        return self._call.record.from_

    async def __aenter__(self) -> Self:
        if self._speech is not None:
            self._speech = await read_speech(self._speech)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rung is not None and not self.ended and error is None:
            if self._call.switch.is_answered:
                await self.hang_up()
            else:
                await self.busy()

    def connect(self, call: PhoneCall) -> None:
        """The exchange puts a call through."""
        self._rung = call
        if isinstance(self._speech, bytes):
            call.audio.say(self._speech)
        self._rings.set()

    async def rings(self, timeout: float = 30.0) -> None:
        """Wait until it rings.

        Raises:
            DeadlineExceeded: It does not in `timeout` seconds.
            CallError: The call was given up before.
        """
        with self._clock.move_on_after(timeout):
            await self._rings.wait()
            await self.wait_for("ringing", timeout)
            return
        raise DeadlineExceeded("the ring of the phone", timeout)

    async def answer(self, by: AnsweredBy = "human", *, timeout: float = 30.0) -> None:
        """Take the call when it rings; returns once the media runs, the document makes the caller wait, or the call is over.

        Args:
            by: Who answers, for the detection of answering machines.
            timeout: Seconds to wait for the ring.

        Raises:
            DeadlineExceeded: It does not ring.
            CallError: The call was given up before.
        """
        await self._decide("answer", timeout, by)
        await self._call.switch.settled.wait()

    async def busy(self, *, timeout: float = 30.0) -> None:
        """Be on the phone already; returns when the gateway was told. Raises as `answer`."""
        await self._decide("busy", timeout)
        await self.wait_ended(timeout)

    async def no_answer(self, *, timeout: float = 30.0) -> None:
        """Let it ring to the end, which comes at once; otherwise as `busy`."""
        await self._decide("no-answer", timeout)
        await self.wait_ended(timeout)

    async def fail(self, *, timeout: float = 30.0) -> None:
        """Be a number that cannot be reached; otherwise as `busy`."""
        await self._decide("failed", timeout)
        await self.wait_ended(timeout)

    async def _decide(self, how: Pickup, timeout: float, by: AnsweredBy = "human") -> None:
        await self.rings(timeout)
        self._call.switch.pick_up(how, answered_by=by)
