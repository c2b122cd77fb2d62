"""Media survives slow code: caller and vendor live in a thread of their own, with a clock that nobody holds up."""

import re
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from tests.gateway.conftest import AUTH_TOKEN
from trunkline.gateway import CallSession, EventType
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.testing import CallTool, OpenAIRealtimeSimulator, Say, ScriptedBrain, TwilioCaller

WORDS = "a sentence that takes its time to be said"  # 2.5 seconds
INAUDIBLE_MS = 20
ATTEMPTS = 3  # the machine itself may stand still for a moment, as caller and vendor are then not heard either


async def hear_a_call(
    brain: ScriptedBrain, while_speaking: Callable[[], Any], anyio_backend: str, **options: Any
) -> bytes:
    """What a caller in another thread hears, while this thread's event loop runs the gateway."""
    began, done = threading.Event(), anyio.Event()
    heard: list[bytes] = []
    addresses: dict[str, str] = {}
    vendor_is_up, gateway_is_up = threading.Event(), threading.Event()

    async def outside() -> None:
        async with OpenAIRealtimeSimulator(brain=brain) as vendor:
            addresses["vendor"] = vendor.url
            vendor_is_up.set()
            await anyio.to_thread.run_sync(gateway_is_up.wait, 10)
            caller = TwilioCaller(webhook_url=f"{addresses['gateway']}/voice/inbound", auth_token=AUTH_TOKEN)
            async with caller as call:
                await call.agent_started()
                began.set()
                await call.agent_finished(quiet_ms=400)
                heard.append(call.heard)

    async def run_outside() -> None:
        await anyio.to_thread.run_sync(lambda: anyio.run(outside, backend=anyio_backend))
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_outside)
        await anyio.to_thread.run_sync(vendor_is_up.wait, 10)
        gateway = TwilioGateway(
            auth_token=AUTH_TOKEN,
            listen_addr="127.0.0.1:0",
            realtime_provider=OpenAIRealtimeProvider(api_key="sk-test", base_url=addresses["vendor"]),
            **options,
        )

        @gateway.on_session
        async def ask(session: CallSession) -> None:
            async for event in session.events():
                if event.type is EventType.SESSION_STARTED:
                    await session.send_text("Go on.")

        async with gateway:
            addresses["gateway"] = gateway.url
            gateway_is_up.set()
            while not began.is_set():
                await anyio.lowlevel.checkpoint()
            await while_speaking()
            await done.wait()
    return heard[0]


def longest_gap_ms(heard: bytes) -> float:
    """The longest silence within what was heard, in milliseconds."""
    spoken = heard.strip(b"\xff")
    return max((len(gap) for gap in re.findall(b"\xff{8,}", spoken)), default=0) / 8


async def test_an_event_loop_that_is_blocked_again_and_again_is_not_heard(anyio_backend: str) -> None:
    async def block_ten_times() -> None:
        for _ in range(10):
            threading.Event().wait(0.15)
            for _ in range(20):
                await anyio.lowlevel.checkpoint()

    gaps: list[float] = []
    while len(gaps) < ATTEMPTS and min(gaps, default=INAUDIBLE_MS + 1) > INAUDIBLE_MS:
        heard = await hear_a_call(ScriptedBrain(answers=[[Say(WORDS)]]), block_ten_times, anyio_backend)
        assert len(heard.strip(b"\xff")) >= 8 * 60 * len(WORDS) - 400
        gaps.append(longest_gap_ms(heard))
    assert min(gaps) <= INAUDIBLE_MS, gaps


async def test_a_slow_tool_is_not_heard(anyio_backend: str) -> None:
    ran: list[bool] = []

    def slow() -> str:
        ran.append(threading.Event().wait(2))
        return "done"

    gaps: list[float] = []
    while len(gaps) < ATTEMPTS and min(gaps, default=INAUDIBLE_MS + 1) > INAUDIBLE_MS:
        brain = ScriptedBrain(answers=[[Say(WORDS), CallTool("slow", {})], [Say("Done.")]])
        heard = await hear_a_call(brain, anyio.lowlevel.checkpoint, anyio_backend, tools=[slow])
        assert ran.pop() is False
        gaps.append(longest_gap_ms(heard.strip(b"\xff")[: 8 * 60 * len(WORDS) - 400]))
    assert min(gaps) <= INAUDIBLE_MS, gaps
