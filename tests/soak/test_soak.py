"""Many short calls in one gateway process leave nothing behind; SOAK_CALLS, SOAK_MINUTES and SOAK_SEED say how many, how long, which."""

import os
import sys

import pytest

from tests.soak.soak import CALL_MB, FLAT_MB, many_calls, memory_of_a_long_call, memory_of_running_calls

CALLS = int(os.environ.get("SOAK_CALLS", "20"))
MINUTES = float(os.environ.get("SOAK_MINUTES", "2"))
SEED = int(os.environ.get("SOAK_SEED", "1"))

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.xdist_group("whole machine"),
    pytest.mark.timeout(120 + 3 * CALLS + 10 * MINUTES),
    pytest.mark.parametrize("vendor", ["fake", "openai"]),
]


async def test_many_calls_leave_nothing_behind(vendor: str, anyio_backend_name: str) -> None:
    report = await many_calls(vendor, anyio_backend_name, CALLS, SEED)
    print(f"seed {SEED}; ends {dict(report.reasons)}; memory grew by {report.growth_mb} MB", file=sys.stderr)
    assert report.faults() == []


async def test_running_calls_hold_little_memory(vendor: str, anyio_backend_name: str) -> None:
    if vendor == "fake":
        pytest.skip("the fake vendor lives in the gateway's process, and its memory is not the gateway's")
    held = await memory_of_running_calls(vendor, anyio_backend_name)
    assert held is None or held <= CALL_MB


async def test_a_long_call_stays_flat(vendor: str, anyio_backend_name: str) -> None:
    growth = await memory_of_a_long_call(vendor, anyio_backend_name, MINUTES)
    assert growth is None or growth <= FLAT_MB
