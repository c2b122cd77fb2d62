"""The simulator as a whole: what it costs, what it remembers, what it leaves behind."""

import ast
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
import trustme

import trunkline.testing.openai as package
from tests.testing.openai.rig import ToneBrain, session, tone
from trunkline.errors import ConnectionLost, InvalidConfig, TransportError
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, Tools
from trunkline.testing.openai import OpenAIRealtimeSimulator
from trunkline.transport import connect_websocket

pytestmark = pytest.mark.anyio


async def test_what_a_turn_costs() -> None:
    brain = ToneBrain(lambda *_: [Say(" ".join(["word"] * 68))])
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.configure(instructions="Be brief.", audio={"input": {"turn_detection": None}})
        await client.append(tone(2700))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        *_, done, limits = await client.turn()
        usage = done["response"]["usage"]
        assert usage["input_token_details"]["audio_tokens"] == 27
        assert usage["output_token_details"]["audio_tokens"] == 136
        assert usage["input_token_details"]["text_tokens"] == 3
        assert usage["input_tokens"] == 30
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert limits["rate_limits"][0]["limit"] - limits["rate_limits"][0]["remaining"] == usage["total_tokens"]


async def test_the_scripted_brain_hears_loud_sounds_and_speaks_its_lines() -> None:
    brain = ScriptedBrain(transcripts=["hello"], answers=[[Say("Hi there.")]])
    async with OpenAIRealtimeSimulator(brain=brain, transcription_delay=0) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.utter()
        heard, done = await client.once("conversation.item.input_audio_transcription.completed", "response.done")
        assert heard["transcript"] == "hello"
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Hi there."


async def test_every_event_of_both_sides_is_kept_in_order() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.configure(instructions="Be brief.")
        await client.send("response.create", event_id="c-2")
        await client.turn()
        assert [event["type"] for event in vendor.received] == ["session.update", "response.create"]
        assert vendor.received[1]["event_id"] == "c-2"
        assert vendor.sent[1:] == client.events[1:]
        assert vendor.sessions[0].settings["instructions"] == "Be brief."
        assert vendor.sessions[0].model == "gpt-realtime-2.1"


async def test_the_caller_is_heard_while_the_brain_is_busy() -> None:
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.send("response.create")
        await client.append(tone(40))
        assert "input_audio_buffer.speech_started" in [event["type"] for event in await client.turn()]


async def test_nothing_is_left_when_it_closes_in_the_middle_of_everything() -> None:
    before = len(anyio.get_running_tasks())
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    vendor = OpenAIRealtimeSimulator(brain=brain, transcription_delay=100)
    with anyio.fail_after(5), pytest.RaisesGroup(ConnectionLost):
        async with anyio.create_task_group() as tasks, vendor:
            url = f"ws{vendor.url.removeprefix('http')}/realtime?model=m"

            async def hold() -> None:
                async with connect_websocket(url, headers=[("Authorization", "Bearer k")]) as socket:
                    await socket.send('{"type": "response.create"}')
                    while True:
                        await socket.receive()

            tasks.start_soon(hold)
            await brain.thinks.wait()
            assert vendor.sessions[0].is_open
    assert not vendor.sessions[0].is_open
    assert len(anyio.get_running_tasks()) == before
    with pytest.raises(TransportError):
        async with connect_websocket(url, connect_timeout=1):
            pass


async def test_a_client_that_leaves_ends_its_session() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        async with session(vendor):
            before = len(anyio.get_running_tasks())
        with anyio.fail_after(5):
            while vendor.sessions[0].is_open:
                await anyio.wait_all_tasks_blocked()
        assert len(anyio.get_running_tasks()) < before


async def test_a_brain_that_raises_is_logged_and_ends_the_session(caplog: pytest.LogCaptureFixture) -> None:
    def rule(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
        raise LookupError("no rule")

    async with OpenAIRealtimeSimulator(brain=ToneBrain(rule)) as vendor, session(vendor) as client:
        await client.send("response.create")
        with pytest.raises(ConnectionLost) as lost:
            await client.turn()
        assert lost.value.code == 1011
        assert client.events[-1]["type"] == "response.created"
        assert "no rule" in caplog.text


async def test_over_tls() -> None:
    import ssl

    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), tls=server) as vendor:
        assert vendor.url.startswith("https://127.0.0.1:")
        url = f"{vendor.url}/realtime?model=m"
        async with connect_websocket(url, tls=client, headers=[("Authorization", "Bearer k")]) as socket:
            assert '"session.created"' in str(await socket.receive())


async def test_tls_with_a_certificate_of_its_own() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), tls=True) as vendor:
        assert vendor.url.startswith("https://127.0.0.1:")
        url, key = f"{vendor.url}/realtime?model=m", [("Authorization", "Bearer k")]
        async with connect_websocket(url, tls=vendor.client_tls, headers=key) as socket:
            assert '"session.created"' in str(await socket.receive())
        with pytest.raises(TransportError):
            async with connect_websocket(url, headers=key):
                pytest.fail("nobody else trusts it")


def test_no_client_context_where_none_is_needed() -> None:
    assert OpenAIRealtimeSimulator(brain=ToneBrain()).client_tls is None


async def test_a_tool_name_that_the_service_does_not_take_is_refused() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        for name in ("check in", "room:book", "é", "n" * 65, ""):
            refused = await client.configure(tools=[{"type": "function", "name": name}])
            assert refused["type"] == "error"
            assert refused["error"]["param"] == "session.tools[0].name"
        taken = await client.configure(tools=[{"type": "function", "name": "Check_in-2"}])
        assert taken["type"] == "session.updated"


@pytest.mark.parametrize("options", [{"speed": 0}, {"chunk_ms": 0}])
def test_numbers_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(InvalidConfig):
        OpenAIRealtimeSimulator(brain=ToneBrain(), **options)  # type: ignore[arg-type]


def test_it_shares_no_code_with_our_client_of_the_same_protocol() -> None:
    for path in Path(package.__path__[0]).glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        for node in imports:
            assert not (node.module or "").startswith(("trunkline.wire", "trunkline.realtime")), path
