"""How a call's line ends, and what the call says of it."""

from datetime import UTC, datetime

import anyio
import pytest

from tests.pipeline.doubles import MemoryCarrier, ScriptedProvider
from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.gateway import CallInfo, CallSession, EventType
from trunkline.pipeline import BridgeConfig, RealtimeBridge
from trunkline.transport import memory_pair
from trunkline.wire.telephony.twilio.stream import TwilioStream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "caller_hung_up"), (1001, "caller_hung_up"), (1006, "line_lost"), (1011, "line_lost")]
)
async def test_a_line_that_was_closed_is_a_caller_who_hung_up_and_a_broken_one_is_not(code: int, reason: str) -> None:
    clock = ManualClock()
    config = BridgeConfig(provider=ScriptedProvider(input_format=TWILIO, output_format=TWILIO))
    info = CallInfo(
        call_id="CA1", from_="+1", to="+2", direction="inbound", start_time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    session = CallSession(info, RealtimeBridge(config, port=MemoryCarrier(clock), clock=clock), clock=clock)
    ours, theirs = memory_pair()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: session.serve(ours, TwilioStream(), max_duration=100))
            await anyio.wait_all_tasks_blocked()
            await theirs.aclose(code)
        ended = [event async for event in session.events()][-1]
    assert ended.type is EventType.SESSION_ENDED
    assert ended.data == {"reason": reason}
