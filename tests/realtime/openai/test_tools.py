"""Tool calls whose answers are slow, fail, or come after the user has gone on talking: each once, and one answer per batch."""

import json

import anyio
import pytest

from tests.realtime.scripted_vendor import CANCELLED, Vendor, rest, scripted, until
from trunkline.errors import LocalProtocolError, SessionClosed
from trunkline.realtime.events import ErrorReported, ResponseFinished, ResponseStarted, SpeechStopped, ToolCallRequested
from trunkline.realtime.provider import ProcessConfig

pytestmark = pytest.mark.anyio


async def expect_answer(vendor: Vendor, call_id: str) -> str:
    item = (await vendor.expect("conversation.item.create"))["item"]
    assert item["call_id"] == call_id
    output: str = item["output"]
    return output


async def speech(vendor: Vendor) -> None:
    await vendor.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_U")
    await vendor.send("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="item_U")


async def test_an_answer_that_comes_during_the_users_next_turn_waits_for_its_end() -> None:
    """The user spoke while the tool ran: the vendor answers that turn, and only then is the result spoken."""

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        call = await vendor.function_call("resp_1", "call_1", "slow", "{}")
        await vendor.response_done("resp_1", output=[call])
        await speech(vendor)
        await vendor.response_created("resp_2")
        assert await expect_answer(vendor, "call_1") == "late"
        await vendor.response_done("resp_2")
        await vendor.expect("response.create")
        await vendor.response_created("resp_3")
        await vendor.response_done("resp_3")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ToolCallRequested)
        await until(session, SpeechStopped)
        await until(session, ResponseStarted)
        await session.send_tool_result("call_1", "late")
        for expected in ("resp_2", "resp_3"):
            assert (await until(session, ResponseFinished)).response_id == expected


async def test_the_answer_to_an_interrupted_response_is_told_but_not_spoken() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.function_call("resp_1", "call_1", "slow", "{}")
        await speech(vendor)
        await vendor.response_done("resp_1", "cancelled", status_details=CANCELLED)
        assert await expect_answer(vendor, "call_1") == "late"
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ToolCallRequested)
        assert (await until(session, ResponseFinished)).status == "cancelled"
        await session.send_tool_result("call_1", "late")


async def test_a_call_cut_off_by_the_user_is_no_call() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        where = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "call_id": "call_1"}
        await vendor.send("response.function_call_arguments.delta", **where, delta='{"ci')
        await speech(vendor)
        await vendor.send("response.function_call_arguments.done", **where, name="f", arguments='{"ci')
        item = {"id": "item_1", "type": "function_call", "name": "f", "call_id": "call_1", "arguments": '{"ci'}
        cut = {**item, "status": "incomplete"}
        await vendor.send("response.output_item.done", response_id="resp_1", output_index=0, item=cut)
        await vendor.response_done("resp_1", "cancelled", status_details=CANCELLED, output=[cut])

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert not [event for event in await rest(session) if isinstance(event, ToolCallRequested)]


async def test_arguments_are_put_together_where_only_their_pieces_came() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        for number in (1, 2):
            where = {"response_id": "resp_1", "item_id": f"item_{number}", "output_index": number}
            for piece in ('{"n": ', f"{number}}}"):
                kind = "response.function_call_arguments.delta"
                await vendor.send(kind, **where, call_id=f"call_{number}", delta=piece)
        for number in (1, 2):
            item = {"id": f"item_{number}", "type": "function_call", "name": "f", "call_id": f"call_{number}"}
            item |= {"arguments": "", "status": "completed"}
            await vendor.send("response.output_item.done", response_id="resp_1", output_index=number, item=item)
        await vendor.response_done("resp_1")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        calls = [event for event in await rest(session) if isinstance(event, ToolCallRequested)]
    assert [(call.call_id, json.loads(call.arguments)) for call in calls] == [
        ("call_1", {"n": 1}),
        ("call_2", {"n": 2}),
    ]


async def test_three_calls_answered_from_three_tasks_bring_one_response() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        output = [await vendor.function_call("resp_1", f"call_{number}", "f", "{}") for number in range(3)]
        await vendor.response_done("resp_1", output=output)
        told = [(await vendor.expect("conversation.item.create"))["item"] for _ in output]
        assert sorted(item["call_id"] for item in told) == ["call_0", "call_1", "call_2"]
        await vendor.expect("response.create")
        await vendor.response_created("resp_2")
        await vendor.response_done("resp_2")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        calls = [(await until(session, ToolCallRequested)).call_id for _ in range(3)]
        await until(session, ResponseFinished)
        async with anyio.create_task_group() as tasks:
            for call_id in calls:
                tasks.start_soon(session.send_tool_result, call_id, '{"error": "it broke"}')
        assert (await until(session, ResponseFinished)).response_id == "resp_2"


async def test_two_tasks_cannot_both_answer_one_call() -> None:
    refused: list[Exception] = []

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.function_call("resp_1", "call_1", "f", "{}")
        await expect_answer(vendor, "call_1")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ToolCallRequested)

        async def answer(result: str) -> None:
            try:
                await session.send_tool_result("call_1", result)
            except LocalProtocolError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, "one")
            tasks.start_soon(answer, "two")
    assert len(refused) == 1


async def test_an_answer_after_the_end_says_so() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.function_call("resp_1", "call_1", "f", "{}")
        await vendor.die()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await rest(session)
        with pytest.raises(SessionClosed):
            await session.send_tool_result("call_1", "late")


async def test_a_refused_result_is_an_error_and_the_conversation_goes_on() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        call = await vendor.function_call("resp_1", "call_1", "f", "{}")
        await vendor.response_done("resp_1", output=[call])
        await expect_answer(vendor, "call_1")
        await vendor.error("invalid_tool_call_id", "there is no such call")
        await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ResponseFinished)
        await session.send_tool_result("call_1", "x")
        assert (await until(session, ErrorReported)).error.code == "invalid_tool_call_id"
        await rest(session)
