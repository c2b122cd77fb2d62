"""Items: made, fetched, deleted, and truncated at what was heard."""

import base64

import pytest

from tests.testing.openai.rig import Client, Event, ToneBrain, kinds, session, tone
from trunkline.testing.brain import Heard, Say
from trunkline.testing.openai import OpenAIRealtimeSimulator

pytestmark = pytest.mark.anyio


async def spoken_item(client: Client) -> Event:
    await client.send("response.create")
    item: Event = (await client.turn())[-2]["response"]["output"][0]
    return item


async def error(client: Client, kind: str, **fields: object) -> Event:
    answer = await client.ask(kind, event_id="c-17", **fields)
    assert answer["type"] == "error"
    assert answer["error"]["event_id"] == "c-17"
    told: Event = answer["error"]
    return told


async def test_truncating_forgets_the_rest_and_all_words() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        item = await spoken_item(client)
        place = {"item_id": item["id"], "content_index": 0, "audio_end_ms": 150}
        truncated = await client.ask("conversation.item.truncate", **place)
        assert {name: truncated[name] for name in place} == place
        assert truncated["type"] == "conversation.item.truncated"
        fetched = (await client.ask("conversation.item.retrieve", item_id=item["id"]))["item"]
        assert fetched["content"][0]["transcript"] is None
        assert base64.b64decode(fetched["content"][0]["audio"]) == tone(400)[: 150 * 48]
        await client.send("response.create")
        await client.turn()
        assert brain.heard[-1] == [Heard("assistant", None)]


async def test_truncating_works_at_both_bounds_and_not_beyond() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        item = await spoken_item(client)
        place = {"item_id": item["id"], "content_index": 0}
        refused = await error(client, "conversation.item.truncate", **place, audio_end_ms=401)
        assert refused["code"] == "invalid_value"
        assert refused["param"] == "audio_end_ms"
        assert refused["message"] == "Audio content of 400ms is already shorter than 401ms"
        refused = await error(client, "conversation.item.truncate", **place, audio_end_ms=-1)
        assert refused["code"] == "integer_below_min_value"
        for end in (400, 0):
            answer = await client.ask("conversation.item.truncate", **place, audio_end_ms=end)
            assert answer["type"] == "conversation.item.truncated"


async def test_truncating_an_answer_that_is_still_being_spoken() -> None:
    brain = ToneBrain(lambda *_: [Say("more " * 50)])
    async with OpenAIRealtimeSimulator(brain=brain, speed=1, chunk_ms=100) as vendor, session(vendor) as client:
        await client.send("response.create")
        item_id = (await client.until("response.output_audio.delta"))[-1]["item_id"]
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)
        await client.until("conversation.item.truncated")
        await client.send("response.cancel")
        response = (await client.turn())[-2]["response"]
        assert response["status"] == "cancelled"
        assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": None}]


async def test_only_the_models_voice_can_be_truncated() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.utter()
        turn = await client.turn()
        refused = await error(
            client, "conversation.item.truncate", item_id=turn[0]["item_id"], content_index=0, audio_end_ms=0
        )
        assert refused["code"] is None
        assert refused["message"] == "Only model output audio messages can be truncated"


@pytest.mark.parametrize(
    ("verb", "doing"), [("truncate", "truncating"), ("delete", "deleting"), ("retrieve", "retrieving")]
)
async def test_an_unknown_item(verb: str, doing: str) -> None:
    more = {"content_index": 0, "audio_end_ms": 0} if verb == "truncate" else {}
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        refused = await error(client, f"conversation.item.{verb}", item_id="item_no", **more)
        assert refused["code"] == f"item_{verb}_invalid_item_id"
        assert refused["message"] == f"Error {doing} item: the item with id 'item_no' does not exist."


async def test_history_is_seeded_in_any_order_and_heard_by_the_brain() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        said: list[tuple[str, str, str]] = [("user", "input_text", "Hello"), ("assistant", "output_text", "Hi")]
        for role, kind, text in said:
            item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
            await client.send("conversation.item.create", item=item)
            added, done = await client.until("conversation.item.done")
            assert added["item"] == done["item"]
            assert added["item"]["status"] == "completed"
        system = {
            "id": "item_rules",
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Rules"}],
        }
        await client.send("conversation.item.create", item=system, previous_item_id="root")
        assert (await client.until("conversation.item.done"))[0]["previous_item_id"] is None
        later = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And"}]}
        await client.send("conversation.item.create", item=later, previous_item_id="item_rules")
        added, _ = await client.until("conversation.item.done")
        assert added["previous_item_id"] == "item_rules"
        await client.ask("conversation.item.delete", item_id=added["item"]["id"])
        await client.send("response.create")
        await client.turn()
        assert brain.heard == [[Heard("system", "Rules"), Heard("user", "Hello"), Heard("assistant", "Hi")]]
        assert [item["role"] for item in vendor.sessions[0].items] == ["system", "user", "assistant", "assistant"]


async def test_audio_may_come_as_an_item() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        content = [{"type": "input_audio", "audio": base64.b64encode(tone(500)).decode()}]
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        added, _ = await client.until("conversation.item.done")
        assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        await client.send("response.create")
        done = (await client.turn())[-2]
        assert brain.heard == [[Heard("user", "what is the weather")]]
        assert done["response"]["usage"]["input_token_details"]["audio_tokens"] == 5
        assert done["response"]["usage"]["output_token_details"]["audio_tokens"] == 8


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        (
            {"item": {"type": "function_call_output", "call_id": "call_no", "output": ""}},
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (
            {"item": {"type": "message", "role": "user", "content": []}, "previous_item_id": "no"},
            "item_not_found",
            "previous_item_id",
        ),
        (
            {"item": {"type": "message", "role": "user", "content": [{"type": "text"}]}},
            "invalid_value",
            "item.content[0].type",
        ),
        ({"item": {"type": "message", "role": "user", "content": [], "nme": ""}}, "unknown_parameter", "item.nme"),
        ({"item": {"type": "message", "content": []}}, "missing_required_parameter", "item.role"),
        ({"item": {"id": "x" * 33, "type": "message", "role": "user", "content": []}}, "invalid_value", "item.id"),
        ({}, "missing_required_parameter", "item"),
    ],
)
async def test_items_that_are_refused(fields: Event, code: str, param: str) -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        refused = await error(client, "conversation.item.create", **fields)
        assert (refused["code"], refused["param"]) == (code, param)
        assert vendor.sessions[0].items == []


async def test_an_id_is_taken_once() -> None:
    item = {"id": "item_mine", "type": "message", "role": "user", "content": []}
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.send("conversation.item.create", item=item)
        assert kinds(await client.until("conversation.item.done")) == [
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert (await error(client, "conversation.item.create", item=item))["code"] == "invalid_value"
