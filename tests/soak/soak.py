"""Thousands of short calls to one gateway process, many at once, and one long one; and what must be so afterwards."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import anyio

from tests.soak.callers import QUIET, WORDS, Behaviour, Outcome, hold, make_call, plan_call
from tests.soak.gateway_process import next_answer
from tests.soak.process import GatewayProcess, gateway_process
from tests.soak.tools import NAMES
from trunkline.clock import ScaledClock
from trunkline.testing import OpenAIRealtimeSimulator, ScriptedBrain
from trunkline.testing.openai import Drop

AT_ONCE = 6
PLACES = 12
FACTOR = 8.0
DEATHS = 0.05
WARM = 20
"""Calls after which the process has everything that it keeps."""
GROWTH_MB = 5.0
CALL_MB = 0.3
FLAT_MB = 2.0
HELD = 50
SPEECH_FACTOR = 20.0
_HOLD_TIMEOUT = 60.0
_TOKEN_LIFE = 65.0
"""Seconds after which the place of a call that never came is free again."""


@dataclass
class Report:
    """What was seen in one soak, and what was wrong with it."""

    vendor: str
    backend: str
    calls: int
    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    warm: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    crowded: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def growth_mb(self) -> float | None:
        """Megabytes of memory between the warm process and the end; None where too few calls were made, or the system does not tell."""
        if self.calls < 5 * WARM or self.end["rss_mb"] is None:
            return None
        return float(self.end["rss_mb"] - self.warm["rss_mb"])

    @property
    def reasons(self) -> Counter[str]:
        """Why the calls ended, as the gateway said."""
        return Counter(end for told in self.told.values() for one in told for end in one["ends"])

    def faults(self) -> list[str]:
        """What is not as it must be, each in a sentence."""
        return [*self._ends(), *self._tools(), *self._left()]

    def _ends(self) -> list[str]:
        faults = []
        for outcome in self.outcomes:
            told = self.told.get(outcome.call_id, [])
            ends = [end for one in told for end in one["ends"]]
            name = f"call {outcome.plan.number} ({outcome.plan.behaviour})"
            if outcome.connected and len(ends) != 1:
                faults.append(f"{name} must have one session_ended, it has {ends}")
            if outcome.plan.behaviour is Behaviour.TALK and (outcome.trouble or not outcome.talked):
                faults.append(f"{name} failed: {outcome.trouble or 'the conversation was cut'}, ended {ends}")
        return faults

    def _tools(self) -> list[str]:
        faults = []
        for outcome in self.outcomes:
            used = [tool for one in self.told.get(outcome.call_id, []) for tool in one["tools"]]
            name = f"call {outcome.plan.number}"
            faults += [
                f"{name}: tool {tool['name']} answered {tool['error'] or tool['result']!r}"
                for tool in used
                if tool["error"] or "Berlin" not in tool["result"] or tool["name"] not in tool["result"]
            ]
            if outcome.plan.turns == len(NAMES) and {tool["name"] for tool in used} != set(NAMES):
                faults.append(f"{name} must use every tool, it used {sorted(tool['name'] for tool in used)}")
        return faults

    def _left(self) -> list[str]:
        faults = []
        for what, slack in (("tasks", 0), ("files", 0), ("threads", AT_ONCE)):
            if self.end[what] > self.warm[what] + slack:
                faults.append(f"{what}: {self.warm[what]} after {WARM} calls, {self.end[what]} at the end")
        if self.growth_mb is not None and self.growth_mb > GROWTH_MB:
            faults.append(f"memory grew by {self.growth_mb:.1f} MB since call {WARM}, allowed are {GROWTH_MB:g}")
        later = self.calls - WARM
        for kind, number in self.end["objects"].items():
            more = number - self.warm["objects"].get(kind, 0)
            if later > 0 and more > max(AT_ONCE, later // 4):
                faults.append(f"{more} more objects of {kind} live than after call {WARM}")
        if self.crowded:
            faults.append(f"{PLACES} places should be free at the end, but then came {self.crowded}")
        if self.end["logged"]:
            faults.append(f"{self.end['logged']} errors were logged, the last of them {self.end['log']}")
        return faults


class Vendor:
    """The vendor of a gateway process, whose connections can be broken."""

    def __init__(self, gateway: GatewayProcess, simulator: OpenAIRealtimeSimulator | None) -> None:
        self._gateway = gateway
        self._simulator = simulator

    async def break_one(self) -> None:
        """Let one connection break, in the next answer."""
        if self._simulator is None:
            await self._gateway.command("break")
        else:
            self._simulator.script([Drop(on="response.output_audio.delta")])

    async def calm(self) -> None:
        """Let no more connections break."""
        if self._simulator is None:
            await self._gateway.command("calm")
        else:
            self._simulator._script._coming.clear()


@asynccontextmanager
async def running(
    vendor: str, backend: str, *, factor: float, places: int
) -> AsyncIterator[tuple[GatewayProcess, Vendor]]:
    """A gateway process and its vendor."""
    options: list[object] = ["--backend", backend, "--factor", factor, "--places", places]
    if vendor == "fake":
        async with gateway_process(*options) as gateway:
            yield gateway, Vendor(gateway, None)
        return
    brain = ScriptedBrain(transcripts=("yes please" for _ in count()), answers=next_answer)
    async with (
        OpenAIRealtimeSimulator(brain=brain, clock=ScaledClock(factor), transcription_delay=0) as simulator,
        gateway_process(*options, "--vendor-url", simulator.url) as gateway,
    ):
        yield gateway, Vendor(gateway, simulator)


async def many_calls(
    vendor: str, backend: str, calls: int, seed: int, *, progress: Callable[[int], None] = lambda _: None
) -> Report:
    """So many short calls, the first and the last with every tool; afterwards as many at once as there are places."""
    report = Report(vendor, backend, calls, seed)
    clock = ScaledClock(FACTOR)
    began = clock.now()
    chance = Random(seed)
    async with running(vendor, backend, factor=FACTOR, places=PLACES) as (gateway, service):

        async def one(number: int, *, every_way: bool = False) -> None:
            plan = plan_call(number, seed, every_way=every_way)
            if not every_way and chance.random() < DEATHS:
                await service.break_one()
            report.outcomes.append(await make_call(plan, lambda: gateway.caller(clock), clock))
            progress(len(report.outcomes))

        async def some(numbers: range) -> None:
            waiting = iter(numbers)

            async def worker() -> None:
                for number in waiting:
                    await one(number)

            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(worker)

        await one(0, every_way=True)
        await some(range(1, min(WARM, calls - 1)))
        report.warm = await gateway.settled(clock)
        await some(range(WARM, calls - 1))
        await service.calm()
        await one(calls - 1, every_way=True)
        report.end = await gateway.settled(clock)
        if any(outcome.call_id not in gateway.calls for outcome in report.outcomes):
            await clock.sleep_until(clock.now() + _TOKEN_LIFE)
        report.crowded, _ = await hold_calls(gateway, clock, PLACES, turns=0)
        report.told = gateway.calls
    report.seconds = (clock.now() - began) / FACTOR
    return report


async def hold_calls(
    gateway: GatewayProcess, clock: ScaledClock, calls: int, *, turns: int = 1
) -> tuple[list[str], dict[str, Any]]:
    """Let so many calls run at once, each after so many turns; what went wrong, and the state of the process meanwhile."""
    settled = 0
    troubles: list[str] = []
    all_settled, release = anyio.Event(), anyio.Event()

    def settle(trouble: str) -> None:
        nonlocal settled
        settled += 1
        if trouble:
            troubles.append(trouble)
        if settled == calls:
            all_settled.set()

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(hold, gateway.caller(clock), turns, settle, release)
        with anyio.move_on_after(_HOLD_TIMEOUT):
            await all_settled.wait()
        state, found = await gateway.state(), list(troubles)
        release.set()
    if not all_settled.is_set():
        found.append(f"of {calls} calls only {settled} could be made")
    return found, state


async def memory_of_running_calls(vendor: str, backend: str) -> float | None:
    """Megabytes that each of many running calls holds."""
    clock = ScaledClock(1.0)
    async with running(vendor, backend, factor=1.0, places=HELD) as (gateway, _):
        await hold_calls(gateway, clock, PLACES)
        idle = await gateway.settled(clock)
        troubles, full = await hold_calls(gateway, clock, HELD)
    assert not troubles, f"{HELD} calls should run at once, but then came {troubles}"
    return None if idle["rss_mb"] is None else float(full["rss_mb"] - idle["rss_mb"]) / HELD


async def memory_of_a_long_call(
    vendor: str, backend: str, minutes: float, *, progress: Callable[[int], None] = lambda _: None
) -> float | None:
    """Megabytes by which the process grows in the last three quarters of a call of so many minutes of speech."""
    clock = ScaledClock(SPEECH_FACTOR)
    async with running(vendor, backend, factor=SPEECH_FACTOR, places=PLACES) as (gateway, _):
        async with gateway.caller(clock) as caller:
            await caller.agent_started()
            began = clock.now()
            early: dict[str, Any] = {}
            while clock.now() < began + minutes * 60:
                caller.say(WORDS * 4 + QUIET * 3)
                await caller.said()
                progress(int((clock.now() - began) / 60))
                if not early and clock.now() > began + minutes * 15:
                    early = await gateway.state()
            late = await gateway.state()
            assert late["calls"] == 1, "the call ended before its time"
        await gateway.settled(clock)  # what came of the call is told after its end
        (told,) = gateway.calls.get(caller.call_sid) or [{}]
        assert told.get("tools"), f"the agent should have used tools all the time: {told}"
    return None if early["rss_mb"] is None else float(late["rss_mb"] - early["rss_mb"])
