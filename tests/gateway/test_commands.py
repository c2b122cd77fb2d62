"""The line of a call may move where the carrier can be asked to move it, and costs nothing more where it cannot."""

import pytest

from trunkline.clock import ManualClock
from trunkline.errors import CallNotFound, InvalidConfig
from trunkline.gateway.commands import CallCommands
from trunkline.telephony.continued import ContinuedLine
from trunkline.telephony.twilio_rest import TwilioRest
from trunkline.testing.memory_line import MemoryLine

pytestmark = pytest.mark.anyio


class KeyLine(MemoryLine):
    """A line that presses keys itself."""

    keys = ""

    async def send_dtmf(self, digits: str) -> None:
        self.keys += digits


def commands(*, control: bool) -> CallCommands:
    clock = ManualClock()
    rest = TwilioRest(account_sid="AC1", auth_token="t", clock=clock) if control else None
    return CallCommands(rest, media_url=lambda call_id: f"wss://agent.example.com/{call_id}", clock=clock)


def test_line_of_a_carrier_without_commands_is_used_as_it_is() -> None:
    line, door = MemoryLine(), commands(control=False)
    with door.line("C1", line) as used:
        assert used is line
        assert door.line_of("C1") is None


def test_line_of_a_carrier_with_commands_may_move() -> None:
    line, door = MemoryLine(), commands(control=True)
    with door.line("C1", line) as used:
        assert isinstance(used, ContinuedLine)
        assert used.current is line
        assert door.line_of("C1") is used
        with door.line("C1", used) as same:
            assert same is used
    assert door.line_of("C1") is None


async def test_commands_without_credentials_are_refused() -> None:
    door = commands(control=False)
    with door.line("C1", MemoryLine()):
        with pytest.raises(InvalidConfig, match="credentials"):
            await door.transfer("C1", "+15550100007")
        with pytest.raises(InvalidConfig, match="credentials"):
            await door.send_dtmf("C1", "1")


@pytest.mark.parametrize("control", [True, False])
async def test_line_that_presses_keys_itself_needs_no_other_interface(control: bool) -> None:
    line, door = KeyLine(), commands(control=control)
    with door.line("C1", line):
        await door.send_dtmf("C1", "12#")
    assert line.keys == "12#"
    with pytest.raises(CallNotFound):
        await door.send_dtmf("C1", "1")
