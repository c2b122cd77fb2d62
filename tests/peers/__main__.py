"""Our reading of Twilio's media streams beside that of pipecat, in a process with pins of its own: `python -m tests.peers`.

Its environment is made once, in `target/peers`; where that cannot be done, the comparison is left out with a message.
"""

import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import which
from typing import Any

import anyio

from trunkline.audio import TWILIO, AudioFormat, convert
from trunkline.clock import ScaledClock
from trunkline.testing import TwilioCaller
from trunkline.transport import Request, Response, Route, Server, Upgrade, WebSocketConnection
from trunkline.wire.telephony.events import DtmfReceived, MediaReceived, StreamEvent, StreamStarted
from trunkline.wire.telephony.twilio.stream import TwilioStream
from trunkline.wire.telephony.twilio.twiml import connect_stream

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENVIRONMENT = ROOT / "target" / "peers"
PYTHON = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin") / "python"
PCM = AudioFormat("linear16", 8000)
PATIENCE = 600


def make_environment() -> str:
    """Install the peer, if it is not there yet; why it could not be, or ""."""
    if (
        PYTHON.exists()
        and subprocess.run([PYTHON, "-c", "import pipecat"], capture_output=True, check=False).returncode == 0
    ):
        return ""
    uv = which("uv", path=ROOT / ".tools" / "bin") or which("uv")
    if uv is None:
        return "there is no uv to make its environment with"
    install = ["pip", "install", "--quiet", "--python", str(PYTHON), "--constraint", str(HERE / "constraints.txt")]
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)],
        [*install, "--group", f"{ROOT / 'pyproject.toml'}:peers"],
    ):
        try:
            subprocess.run([uv, *command], capture_output=True, check=True, timeout=PATIENCE)
        except (OSError, subprocess.SubprocessError) as error:
            told = getattr(error, "stderr", b"") or b""
            return (told.decode(errors="replace").strip().splitlines() or [str(error)])[-1]
    return ""


class Peer:
    """The other process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer


@contextmanager
def peer(stream_sid: str) -> Iterator[Peer]:
    command = [str(PYTHON), str(HERE / "pipecat_twilio.py"), stream_sid]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Peer(process)
        finally:
            process.kill()


async def messages_of_a_call(speech: bytes, keys: str) -> list[str]:
    """What the simulated carrier sends in a call in which somebody speaks and presses keys."""
    messages: list[str] = []

    async def keep(socket: WebSocketConnection) -> None:
        while '"stop"' not in (messages[-1] if messages else ""):
            message = await socket.receive()
            assert isinstance(message, str)
            messages.append(message)

    async def voice(request: Request) -> Response:
        return Response(200, connect_stream(f"ws{server.url.removeprefix('http')}/media"), media_type="text/xml")

    async def media(request: Request) -> Upgrade:
        return Upgrade(keep)

    async with (
        Server([Route("POST", "/voice", voice), Route("GET", "/media", media)]) as server,
        TwilioCaller(webhook_url=f"{server.url}/voice", auth_token="x", speech=speech, clock=ScaledClock(4)) as call,
    ):
        await call.press(keys)
        await call.said()
    return messages


def compare() -> list[str]:
    """Every difference between the two, as a sentence."""
    chance = Random(1)
    speech = bytes(range(256)) * 5 + chance.randbytes(160 * 20)
    messages = anyio.run(messages_of_a_call, speech, "0123456789*#")
    stream = TwilioStream()
    events: list[StreamEvent] = [stream.receive(message) for message in messages]
    differences = []
    started = next(event for event in events if isinstance(event, StreamStarted))
    with peer(started.stream_id) as other:
        heard = b""
        for message, event in zip(messages, events, strict=True):
            answer = other.ask(message=message)
            ours: dict[str, Any] = {}
            if isinstance(event, MediaReceived):
                ours = {"pcm": b64encode(convert(event.payload, TWILIO, PCM)).decode(), "rate": 8000}
                heard += event.payload
            elif isinstance(event, DtmfReceived):
                ours = {"digit": event.digit}
            if answer != ours:
                differences.append(f"{message[:100]} is {str(answer)[:100]} there and {str(ours)[:100]} here")
        if speech not in heard:
            differences.append("what was said did not arrive")
        replay = TwilioStream()
        for message in messages[:2]:
            replay.receive(message)
        for size in (160, 320, 1600, 8000):
            pcm = chance.randbytes(2 * size)
            theirs = json.loads(other.ask(pcm=b64encode(pcm).decode())["message"])
            own = json.loads(replay.send_media(convert(pcm, PCM, TWILIO)))
            if theirs != own:
                audio = [b64decode(one["media"]["payload"]) for one in (theirs, own)]
                count = sum(a != b for a, b in zip(*audio, strict=True))
                differences.append(f"media of {size} samples is written otherwise: {count} of them differ")
        if json.loads(other.ask(clear=True)["message"]) != json.loads(replay.clear()):
            differences.append("clear is written otherwise")
    print(
        f"pipecat reads {len(messages)} messages of a call as we do, and writes media and clear as we do"
        * (not differences)
    )
    return differences


def main() -> int:
    trouble = make_environment()
    if trouble:
        print(f"pipecat is left out: {trouble}")
        return 0
    differences = compare()
    for difference in differences[:20]:
        print(difference)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
