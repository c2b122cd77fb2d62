"""A session with OpenAI Realtime that begins in the middle of a conversation."""

import pytest

from tests.realtime.scripted_vendor import Vendor, scripted
from trunkline.conversation import HistoryItem
from trunkline.errors import LocalProtocolError
from trunkline.realtime.provider import ProcessConfig

pytestmark = pytest.mark.anyio

CALL = HistoryItem(role="tool_call", call_id="call_1", name="weather", arguments="{}")


async def test_what_went_before_is_told_in_order_before_anything_else() -> None:
    history = [
        HistoryItem(role="user", text="Weather?"),
        CALL,
        HistoryItem(role="tool_result", call_id="call_1", text="sunny"),
        HistoryItem(role="agent", text="It is sunny."),
    ]

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        told = [(await vendor.expect("conversation.item.create"))["item"] for _ in history]
        assert [item.get("role", item["type"]) for item in told] == [
            "user",
            "function_call",
            "function_call_output",
            "assistant",
        ]
        await vendor.expect("input_audio_buffer.append")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig(history=history)) as session:
        await session.send_audio(b"\0\0")
        with pytest.raises(LocalProtocolError):
            await session.send_tool_result("call_1", "again")


async def test_a_call_of_an_earlier_session_is_answered_here_and_the_model_goes_on() -> None:
    history = [CALL, HistoryItem(role="tool_call", call_id="call_2", name="weather", arguments="{}")]

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        for _ in history:
            await vendor.expect("conversation.item.create")
        for call_id, output in [("call_2", "rain"), ("call_1", "sun")]:
            item = (await vendor.expect("conversation.item.create"))["item"]
            assert (item["call_id"], item["output"]) == (call_id, output)
        await vendor.expect("response.create")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig(history=history)) as session:
        await session.send_tool_result("call_2", "rain")
        await session.send_tool_result("call_1", "sun")
        with pytest.raises(LocalProtocolError, match="before"):
            await session.send_tool_result("call_1", "sun")
