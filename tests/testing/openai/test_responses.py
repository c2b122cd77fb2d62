"""The options of `response.create`, and how responses end."""

from collections.abc import Sequence

import anyio
import pytest

from tests.testing.openai.rig import Event, ToneBrain, kinds, session
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.testing.openai import OpenAIRealtimeSimulator

pytestmark = pytest.mark.anyio


async def test_a_response_beside_the_conversation() -> None:
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.ask("response.create")
        options = {
            "conversation": "none",
            "metadata": {"purpose": "title"},
            "output_modalities": ["text"],
            "instructions": "Give it a title.",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Once"}]}],
        }
        created = await client.ask("response.create", response=options)
        assert created["response"]["conversation_id"] is None
        assert created["response"]["metadata"] == {"purpose": "title"}
        brain.may_answer.set()
        events = await client.turn() + await client.turn()
        beside = [
            e for e in events if created["response"]["id"] in {e.get("response_id"), e.get("response", {}).get("id")}
        ]
        assert kinds(beside) == [
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        aside = beside[-1]["response"]["output"][0]
        assert aside["content"] == [{"type": "output_text", "text": "It is sunny today."}]
        about = {event["item"]["id"] for event in events if event["type"].startswith("conversation.item.")}
        assert aside["id"] not in about
        assert [item["id"] for item in vendor.sessions[0].items] == list(about)
        assert [Heard("user", "Once")] in brain.heard
        assert "Give it a title." in brain.instructions


async def test_input_may_refer_to_items() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        await client.utter()
        item_id = (await client.turn())[0]["item_id"]
        await client.send("response.create", response={"input": [{"type": "item_reference", "id": item_id}]})
        await client.turn()
        await client.send("response.create", response={"input": []})
        await client.turn()
        assert brain.heard[1:] == [[Heard("user", "what is the weather")], []]
        refused = await client.ask("response.create", response={"input": [{"type": "item_reference", "id": "no"}]})
        assert refused["error"]["code"] == "item_not_found"


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({}, ["a", "b"]),
        ({"tool_choice": "none"}, []),
        ({"tool_choice": {"type": "function", "name": "b"}}, ["b"]),
        ({"tools": [{"type": "function", "name": "c"}]}, ["c"]),
        ({"tools": []}, []),
    ],
)
async def test_which_tools_are_offered(options: Event, offered: list[str]) -> None:
    seen: list[Sequence[str]] = []

    def rule(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
        seen.append(list(tools))
        return [Say("Yes.")]

    async with OpenAIRealtimeSimulator(brain=ToneBrain(rule)) as vendor, session(vendor) as client:
        await client.configure(tools=[{"type": "function", "name": "a"}, {"type": "function", "name": "b"}])
        await client.send("response.create", response=options)
        await client.turn()
        assert seen == [offered]


async def test_a_call_of_a_tool_that_was_not_offered_fails_the_response() -> None:
    brain = ToneBrain(lambda *_: [CallTool("hang_up", {})])
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.send("response.create")
        response = (await client.turn())[-2]["response"]
        assert response["status"] == "failed"
        assert "'hang_up'" in response["status_details"]["error"]["message"]


async def test_a_response_that_has_used_its_tokens_is_incomplete() -> None:
    brain = ToneBrain(lambda *_: [Say("one two three four five six seven eight")])
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.send("response.create", response={"max_output_tokens": 6})
        response = (await client.turn())[-2]["response"]
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert response["max_output_tokens"] == 6
        assert response["output"][0]["status"] == "incomplete"
        assert response["usage"]["output_tokens"] < 12


async def test_the_voice_is_locked_once_it_was_heard() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        assert (await client.configure(audio={"output": {"voice": "cedar"}}))["type"] == "session.updated"
        await client.send("response.create")
        await client.turn()
        assert (await client.configure(audio={"output": {"voice": "cedar"}}))["type"] == "session.updated"
        refused = await client.configure(audio={"output": {"voice": "ash"}})
        assert refused["error"]["code"] == "cannot_update_voice"
        refused = await client.ask("response.create", response={"audio": {"output": {"voice": "ash"}}})
        assert refused["error"]["code"] == "cannot_update_voice"


async def test_only_reasoning_models_tell_of_reasoning() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        async with session(vendor, query="?model=gpt-realtime-2.1-mini") as client:
            await client.send("response.create")
            response = (await client.turn())[-2]["response"]
            assert response["usage"]["output_token_details"]["reasoning_tokens"] == 0
            assert response["output"][0]["phase"] == "final_answer"
        async with session(vendor, query="?model=gpt-realtime-2025-08-28") as client:
            await client.send("response.create")
            response = (await client.turn())[-2]["response"]
            assert "reasoning_tokens" not in response["usage"]["output_token_details"]
            assert "phase" not in response["output"][0]
