"""What the callers of the soak do: talk, hang up at any moment, or vanish with their socket."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import anyio

from tests.soak.gateway_process import PATIENCE
from trunkline.audio import AudioFormat, convert
from trunkline.clock import Clock
from trunkline.errors import CallError, DeadlineExceeded, TransportError
from trunkline.testing import TwilioCaller
from trunkline.testing.brain import tone

WORDS = convert(tone(700, rate=8000), AudioFormat("linear16", 8000), AudioFormat("mulaw", 8000))
QUIET = b"\xff" * 8000
LONGEST_MOMENT = 6.0
"""Seconds in which a caller of the soak hangs up, from dialling on; a whole turn takes about four."""
QUIET_MS = 600
"""How long the agent must be silent to have finished: longer than a hiccup of a busy machine."""
EVERY_WAY = 6
"""Turns of a call that uses every tool."""


class Behaviour(StrEnum):
    """How a caller behaves, and how the call ends."""

    TALK = "talks, hangs up"
    HANG_UP = "hangs up at any moment"
    BREAK = "socket breaks"
    VANISH = "vanishes at any moment"


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: `turns` with the agent if it gets so far, and after `moment` seconds the end that `behaviour` says."""

    number: int
    behaviour: Behaviour
    turns: int
    moment: float


@dataclass(slots=True)
class Outcome:
    """What came of it, as the caller saw it."""

    plan: Plan
    call_id: str = ""
    connected: bool = False
    talked: bool = False
    trouble: str = ""


def plan_call(number: int, seed: int, *, every_way: bool) -> Plan:
    """The plan of a call, the same for the same seed."""
    chance = random.Random(f"{seed}/{number}")
    if every_way:
        return Plan(number, Behaviour.TALK, EVERY_WAY, 0.0)
    behaviour = chance.choices(list(Behaviour), weights=(4, 3, 2, 1))[0]
    return Plan(number, behaviour, chance.randint(1, 2), chance.uniform(0.0, LONGEST_MOMENT))


async def make_call(plan: Plan, dial: Callable[[], TwilioCaller], clock: Clock) -> Outcome:
    """Call, behave as planned, and tell what came of it; nothing that goes wrong is raised."""
    outcome = Outcome(plan)
    caller = dial()
    try:
        if plan.behaviour is Behaviour.VANISH:
            with clock.move_on_after(plan.moment):
                await _talk_as_planned(caller, plan, outcome)
                await clock.sleep_until(clock.now() + LONGEST_MOMENT)
        else:
            await _talk_as_planned(caller, plan, outcome, clock)
    except (CallError, DeadlineExceeded, TransportError) as error:
        outcome.trouble = repr(error)
    except ExceptionGroup as errors:
        outcome.trouble = "; ".join(repr(error) for error in errors.exceptions)
    outcome.call_id = caller.call_sid
    if caller.refused:
        outcome.trouble = f"refused: {caller.refused}"
    elif caller.warnings or caller.errors:
        outcome.trouble = outcome.trouble or f"{caller.warnings} {caller.errors}"
    return outcome


async def _talk_as_planned(caller: TwilioCaller, plan: Plan, outcome: Outcome, clock: Clock | None = None) -> None:
    async with caller:
        outcome.connected = caller.refused is None
        if not outcome.connected:
            return
        if plan.behaviour is Behaviour.TALK or clock is None:
            await talk(caller, plan.turns)
            outcome.talked = True
            return
        with clock.move_on_after(plan.moment):
            await talk(caller, plan.turns)
            outcome.talked = True
        if plan.behaviour is Behaviour.BREAK and not caller.ended:
            await caller.drop()


async def talk(caller: TwilioCaller, turns: int) -> None:
    """Hear the greeting, and have so many turns, each of which the agent answers after using a tool."""
    await caller.agent_started(PATIENCE)
    await caller.agent_finished(quiet_ms=QUIET_MS, timeout=PATIENCE)
    for _ in range(turns):
        caller.say(WORDS)
        await caller.said()
        await caller.agent_started(PATIENCE)
        await caller.agent_finished(quiet_ms=QUIET_MS, timeout=PATIENCE)


async def hold(caller: TwilioCaller, turns: int, settle: Callable[[str], None], release: anyio.Event) -> None:
    """Have so many turns, say what went wrong ("" if nothing did), and stay on the line."""
    try:
        async with caller:
            if caller.refused is None and turns:
                await talk(caller, turns)
            settle(caller.refused or "")
            await release.wait()
    except (CallError, DeadlineExceeded, TransportError) as error:
        settle(repr(error))
