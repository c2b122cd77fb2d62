"""What every carrier's gateway does: the application's handlers, the provider, and tasks outside a request."""

import functools
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.gateway.carrier import FRAME, PlainGateway, fake, until_lost
from trunkline.errors import CallRejected, ConnectionFailed, InvalidConfig
from trunkline.gateway import CallInfo, CallSession
from trunkline.gateway import gateway as gateway_module
from trunkline.pipeline import RealtimeBridge
from trunkline.realtime import RealtimeClient, RealtimeConfig
from trunkline.testing.fake_provider import FakeSession
from trunkline.tools import ToolDefinition

pytestmark = pytest.mark.anyio

KINDS = ["plain", "async", "lambda", "object", "partial", "method"]


def handler(kind: str, act: Callable[[Any], None]) -> Callable[[Any], Any]:
    """A handler of some kind that does this; all but the plain one give an awaitable."""

    async def later(argument: Any) -> None:
        await anyio.lowlevel.checkpoint()
        act(argument)

    class Awaiting:
        async def __call__(self, argument: Any) -> None:
            await later(argument)

        async def method(self, argument: Any) -> None:
            await later(argument)

    kinds: dict[str, Callable[[Any], Any]] = {
        "plain": act,
        "async": later,
        "lambda": lambda argument: later(argument),  # noqa: PLW0108 - that is the kind
        "object": Awaiting(),
        "partial": functools.partial(later),
        "method": Awaiting().method,
    }
    return kinds[kind]


@pytest.mark.parametrize("kind", KINDS)
async def test_call_handler_of_any_kind_decides(kind: str) -> None:
    def decide(call: CallInfo) -> None:
        if call.call_id == "C666":
            raise CallRejected("busy")

    async with PlainGateway() as gateway:
        gateway.on_call(handler(kind, decide))
        assert await gateway.announce("C666") == "busy"
        assert (await gateway.post("/call", "C1")).status == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_call_handler_that_fails_refuses(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: CallInfo) -> None:
        raise RuntimeError("the database is down")

    async with PlainGateway() as gateway:
        gateway.on_call(handler(kind, fails))
        assert await gateway.announce() == "rejected"
    assert "the on_call handler failed" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
async def test_session_handler_of_any_kind_runs(kind: str) -> None:
    seen: list[str] = []
    threads: list[threading.Thread] = []

    def note(session: CallSession) -> None:
        seen.append(session.id)
        threads.append(threading.current_thread())

    async with PlainGateway() as gateway:
        gateway.on_session(handler(kind, note))
        async with gateway.phone() as phone:
            with anyio.fail_after(5):
                while not seen:
                    await anyio.wait_all_tasks_blocked()
            await phone.send("stop")
        await gateway.until_empty()
    assert seen == ["C1"]
    assert (threads[0] is threading.main_thread()) == (kind != "plain")


async def test_plain_session_handlers_of_all_calls_run_at_once() -> None:
    """Each holds a thread as long as its call takes, more of them than the event loop's other threads are."""
    calls = 45
    barrier = threading.Barrier(calls + 1)
    async with PlainGateway(max_concurrent_calls=calls) as gateway:

        @gateway.on_session
        def wait(_: CallSession) -> None:
            barrier.wait(8)

        async with anyio.create_task_group() as tasks:

            async def one(number: int) -> None:
                async with gateway.phone(f"C{number}") as phone:
                    await until_lost(phone)

            for number in range(calls):
                tasks.start_soon(one, number)
            await anyio.to_thread.run_sync(barrier.wait, 8)
            for session in gateway.list_sessions():
                tasks.start_soon(session.close)
        assert not barrier.broken


async def test_session_handler_that_fails_does_not_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async with PlainGateway() as gateway:

        @gateway.on_session
        async def fails(session: CallSession) -> None:
            gateway.sessions.append(session)
            raise RuntimeError("the database is down")

        async with gateway.phone():
            with anyio.fail_after(5):
                while not gateway.sessions:
                    await anyio.wait_all_tasks_blocked()
            assert gateway.sessions[0].is_active
            assert gateway.get_session("C1") is gateway.sessions[0]
    assert "the on_session handler failed" in caplog.text


async def test_redirected_call_keeps_its_new_stream_when_the_old_one_ends() -> None:
    async with PlainGateway() as gateway, gateway.phone() as old, gateway.phone() as new:
        await gateway.until("session_started", 2)
        await old.send("stop")
        await gateway.until("session_ended")
        assert [session.is_active for session in gateway.list_sessions()] == [True]
        assert gateway.get_session("C1") is not None
        await new.send(FRAME)


async def test_carrier_that_says_a_call_is_over_ends_it() -> None:
    async with PlainGateway() as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        assert (await gateway.post("/over")).status == 204
        assert await until_lost(phone) == 1000
        await gateway.until_empty()
        assert gateway.reasons() == ["carrier_completed"]
        await gateway.admit(gateway.info("C2"))
        gateway.end_call("C2", "carrier_canceled")
        await gateway.until_empty()


async def test_task_outside_a_request_may_fail_without_ending_the_gateway(caplog: pytest.LogCaptureFixture) -> None:
    done = anyio.Event()

    async def fails(what: str) -> None:
        raise LookupError(what)

    async def works() -> None:
        done.set()

    gateway = PlainGateway()
    with pytest.raises(InvalidConfig, match="is not running"):
        gateway.run_soon(works)
    async with gateway:
        gateway.run_soon(fails, "the REST interface is down")
        gateway.run_soon(works)
        with anyio.fail_after(5):
            await done.wait()
        assert (await gateway.post("/call")).status == 200
    assert "the REST interface is down" in caplog.text


async def test_logger_of_the_application_is_used(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.LoggerAdapter(logging.getLogger("mine"), {})
    caplog.set_level(logging.INFO)
    async with PlainGateway(logger=logger) as gateway:
        gateway.on_call(handler("plain", lambda _: json.loads("{")))
        await gateway.post("/call")
    assert [record.name for record in caplog.records if "on_call" in record.getMessage()] == ["mine"]
    assert [record.name for record in caplog.records if record.name == "trunkline.gateway"] == []


# ── provider and tools ───────────────────────────────────────────────────────────────────────────────────────────────


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@pytest.mark.parametrize("way", ["gateway", "session", "definition"])
async def test_tool_answers_in_the_last_call_as_in_the_first(way: str) -> None:
    calls = 12
    answers: list[str] = []

    async def ask(session: FakeSession) -> None:
        answers.append(await session.call_tool("weather", city="London"))

    definition = ToolDefinition("weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
    ways: dict[str, dict[str, Any]] = {
        "gateway": {"tools": [weather]},
        "session": {"realtime_config": RealtimeConfig(tools=[weather])},
        "definition": {"tools": [definition], "tool_handlers": {"weather": lambda given: f"rain in {given['city']}"}},
    }
    async with PlainGateway(realtime_provider=fake(script=ask), **ways[way]) as gateway:
        for number in range(calls):
            async with gateway.phone(f"C{number}"):
                with anyio.fail_after(5):
                    while len(answers) <= number:
                        await anyio.wait_all_tasks_blocked()
                assert gateway.sessions[-1].tool_counters.successes == 1
    assert answers == ["rain in London"] * calls


async def test_calls_share_one_configuration_with_its_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def bridge(config: Any, **options: Any) -> RealtimeBridge:
        seen.append(id(config))
        return RealtimeBridge(config, **options)

    monkeypatch.setattr(gateway_module, "RealtimeBridge", bridge)
    async with PlainGateway(tools=[weather]) as gateway:
        for number in range(3):
            async with gateway.phone(f"C{number}"):
                await gateway.until("session_started", number + 1)
    assert len(seen) == 3
    assert set(seen) == {id(gateway._bridge_config)}


async def test_fallback_client_answers_where_the_first_provider_cannot() -> None:
    first = fake(name="first", failures=[ConnectionFailed("down", vendor="first")] * 9)
    second = fake(name="second")
    client = RealtimeClient(first, second)
    async with PlainGateway(realtime_provider=client) as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        second.session.answer("Hello.", audio_ms=100)
        with anyio.fail_after(5):
            assert await phone.receive()
        assert gateway._bridge_config.provider is client
