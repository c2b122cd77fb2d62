"""Each program of the guides runs as it stands, in a process of its own, with simulators where the internet would be."""

import fcntl
import json
import os
import signal
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.text import TextReceiveStream
from twilio.request_validator import RequestValidator

from tests.docs.internet import Internet, internet
from tests.docs.run_page import GUIDES, programs
from trunkline.transport import MessageStream, connect_websocket

ROOT = Path(__file__).parents[2]
TESTED_ELSEWHERE = {"bridge", "llm", "stt", "testing", "tools", "tts"}
TESTED_HERE = {"realtime", "openai", "gemini", "qwen", "long-calls", "twilio", "many-calls", "outbound"}

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), pytest.mark.xdist_group("port 8080")]


def test_every_page_with_a_program_is_tested() -> None:
    pages = {path.stem for path in GUIDES.glob("*.md") if programs(path.stem)}
    assert pages == TESTED_ELSEWHERE | TESTED_HERE


class Program:
    """A running page and what it has printed."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process = process
        self.printed = ""
        self.failed = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for text in TextReceiveStream(self.process.stdout):
            self.printed += text

    async def read_errors(self) -> None:
        assert self.process.stderr is not None
        async for text in TextReceiveStream(self.process.stderr):
            self.failed += text

    async def ends(self) -> str:
        assert await self.process.wait() == 0, self.failed
        return self.printed


@asynccontextmanager
async def running(page: str, backend: str, environment: Mapping[str, str]) -> AsyncIterator[Program]:
    command = [sys.executable, "-m", "tests.docs.run_page", page, backend]
    async with port_to_ourselves():
        with anyio.fail_after(30):
            async with (
                await anyio.open_process(
                    command, stdout=PIPE, stderr=PIPE, cwd=ROOT, env={**os.environ, **environment}
                ) as process,
                anyio.create_task_group() as tasks,
            ):
                program = Program(process)
                tasks.start_soon(program.read)
                tasks.start_soon(program.read_errors)
                try:
                    yield program
                finally:
                    if process.returncode is None:
                        process.kill()


@asynccontextmanager
async def port_to_ourselves() -> AsyncIterator[None]:
    """The pages' gateways all listen on port 8080, and another process may be running these tests too."""
    with Path(tempfile.gettempdir(), "trunkline-port-8080.lock").open("w") as lock:  # noqa: ASYNC230 - opening it is quick
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await anyio.sleep(0.05)
            else:
                break
        yield


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Internet]:
    async with internet(tmp_path) as there:
        yield there


async def test_realtime_page(world: Internet, anyio_backend_name: str) -> None:
    async with running("realtime", anyio_backend_name, world.environment) as program:
        printed = await program.ends()
    assert "('user', 'when do you open')" in printed
    assert "('agent', 'At seven.')" in printed
    assert "played 0 bytes" not in printed


async def test_openai_page(world: Internet, anyio_backend_name: str) -> None:
    async with running("openai", anyio_backend_name, world.environment) as program:
        printed = await program.ends()
    assert "At seven." in printed
    assert "Usage(" in printed
    assert len(world.vendor.sessions) == 3


async def test_qwen_page(world: Internet, anyio_backend_name: str) -> None:
    async with running("qwen", anyio_backend_name, world.environment) as program:
        printed = await program.ends()
    assert "At seven." in printed
    assert "Usage(" in printed
    assert "We open at seven." in printed
    assert len(world.qwen.sessions) == 2
    assert not world.vendor.sessions


async def test_gemini_page(world: Internet, anyio_backend_name: str) -> None:
    async with running("gemini", anyio_backend_name, world.environment) as program:
        printed = await program.ends()
    assert "At seven." in printed
    assert "Usage(" in printed
    assert printed.endswith("True\n")
    assert len(world.gemini.sessions) == 4


async def test_long_calls_page(world: Internet, anyio_backend_name: str) -> None:
    async with running("long-calls", anyio_backend_name, world.environment) as program:
        while not is_set_up(world) and program.process.returncode is None:  # noqa: ASYNC110 - another process tells nobody
            await anyio.sleep(0.02)
        assert is_set_up(world), program.failed
    assert world.vendor.sessions[0].settings["instructions"].startswith("You answer the phone")


@pytest.mark.parametrize("page", ["twilio", "many-calls"])
async def test_gateway_page(page: str, world: Internet, anyio_backend_name: str) -> None:
    if page == "many-calls" and anyio_backend_name == "trio":
        pytest.skip("uvloop is an event loop of asyncio")
    validator = RequestValidator(world.environment["TWILIO_AUTH_TOKEN"])
    fields = {"CallSid": "CA0001", "From": "+15550100001", "To": "+15550100002", "Direction": "inbound"}
    fields["AccountSid"] = world.environment["TWILIO_ACCOUNT_SID"]
    signature = validator.compute_signature("https://agent.example.com/voice/inbound", fields)
    async with running(page, anyio_backend_name, world.environment) as program, httpx.AsyncClient() as http:
        await until_healthy(http, program)
        document = await http.post(
            "http://127.0.0.1:8080/voice/inbound", data=fields, headers={"X-Twilio-Signature": signature}
        )
        assert document.status_code == 200, program.failed
        address = document.text.partition("wss://agent.example.com")[2].partition('"')[0]
        upgrade = validator.compute_signature(f"wss://agent.example.com{address}", {})
        async with connect_websocket(
            f"ws://127.0.0.1:8080{address}", headers=[("X-Twilio-Signature", upgrade)]
        ) as media:
            await hear_the_agent(media)
        if page == "twilio":
            program.process.send_signal(signal.SIGTERM)
            printed = await program.ends()
            assert "session_started" in printed
            assert "session_ended" in printed


async def test_outbound_page(world: Internet, anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first program calls the phone of its second."""
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"):
        monkeypatch.setenv(name, world.environment[name])
    said: list[tuple[Any, ...]] = []
    names: dict[str, Any] = {"os": os, "print": lambda *words: said.append(words)}
    exec(programs("outbound")[1], names)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(names["answer"])
        while not said:  # noqa: ASYNC110 - the program tells nobody
            await anyio.sleep(0.02)
        where = {"PUBLIC_URL": "http://127.0.0.1:8080", "TWILIO_API_URL": said[0][1]}
        async with running("outbound", anyio_backend_name, {**world.environment, **where}) as program:
            printed = await program.ends()
    assert "call_state {'state': 'ringing', 'detail': 'ringing'}" in printed
    assert "'answered_by': 'human'" in printed
    assert "the call was completed" in printed
    assert said[1][0] > 0.2


def is_set_up(world: Internet) -> bool:
    return any(event["type"] == "session.updated" for event in world.vendor.sent)


async def until_healthy(http: httpx.AsyncClient, program: Program) -> None:
    while program.process.returncode is None:
        try:
            health = await http.get("http://127.0.0.1:8080/health")
        except httpx.TransportError:
            await anyio.sleep(0.02)  # another process tells nobody
        else:
            assert health.text == "ok\n"
            return
    raise AssertionError(program.failed)


async def hear_the_agent(socket: MessageStream) -> None:
    """Begin a media stream, let the caller speak, and wait for audio of the agent."""
    stream = {"streamSid": "MZ0001"}
    start = {
        "accountSid": "AC00000000000000000000000000000001",
        "callSid": "CA0001",
        "tracks": ["inbound"],
        "customParameters": {},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        **stream,
    }
    await socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    await socket.send(json.dumps({"event": "start", "sequenceNumber": "1", "start": start, **stream}))
    for frame in range(100):
        media = {
            "track": "inbound",
            "chunk": str(frame + 1),
            "timestamp": str(frame * 20),
            "payload": b64encode((b"\x20" if 20 <= frame < 50 else b"\xff") * 160).decode(),
        }
        await socket.send(json.dumps({"event": "media", "sequenceNumber": str(frame + 2), "media": media, **stream}))
    while json.loads(await socket.receive())["event"] != "media":
        pass
