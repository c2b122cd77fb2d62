"""A call's audio from socket to socket: a caller, a model, and two connections on lines between them."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from pydantic_core import from_json

from tests.transport.pollers import POLLERS
from trunkline.audio import TWILIO
from trunkline.clock import SYSTEM_CLOCK, Clock, ManualClock
from trunkline.errors import ConnectionLost, LocalProtocolError
from trunkline.transport import Request, Route, Server, Upgrade, WebSocketConnection, connect_websocket
from trunkline.transport.link import Downlink, DownlinkSink, MediaLink, Uplink, UplinkSink
from trunkline.transport.poller import Poller
from trunkline.wire.media import Expected, MarkTemplate, MediaShape, MediaTemplate

pytestmark = pytest.mark.anyio

CARRIER = MediaShape(audio="media", expected=(Expected("event", "media"),))
MEDIA = MediaTemplate(head='{"event":"media","media":"', tail='"}')
MARK = MarkTemplate('{"mark":"', '"}')
PROVIDER = MediaShape(audio="delta", response_id="response", item_id="item")
APPEND = MediaTemplate(head='{"audio":"', tail='"}')
FRAME = bytes(range(160))


def media(audio: bytes) -> str:
    return f'{{"event":"media","media":"{b64encode(audio).decode()}"}}'


def delta(audio: bytes, item: str = "i") -> str:
    return f'{{"response":"r","item":"{item}","delta":"{b64encode(audio).decode()}"}}'


def audio_of(message: str | bytes, member: str) -> bytes:
    return b64decode(from_json(message)[member])


class Call:
    """The middle of a call; `phone` and `model` are the far ends."""

    def __init__(
        self, phone: WebSocketConnection, carrier: WebSocketConnection, poller: Poller, clock: Clock, max_queued: int
    ) -> None:
        self.phone = phone
        self.carrier = carrier
        self.poller = poller
        self.said: list[str | bytes] = []
        self.uplink = Uplink(carrier.codec, CARRIER, TWILIO)
        self.downlink = Downlink(MEDIA, TWILIO, mark=MARK, lead_ms=400)
        self.up = UplinkSink(self.uplink, carrier, self.handle, clock=clock)
        self.down = DownlinkSink(self.downlink, carrier, self.handle, max_queued=max_queued, clock=clock)
        self.clock = clock

    def handle(self, message: str | bytes) -> bool:
        """As a session does: the first audio of an item is admitted, the rest goes by itself; "?" is left."""
        if message == "?":
            return False
        self.said.append(message)
        if isinstance(message, str) and '"delta"' in message:
            self.downlink.admit("r", "i")
            if (out := self.downlink.write("i", audio_of(message, "delta"), self.clock.now())) is not None:
                assert self.carrier.line is not None
                self.carrier.line.write(out)
        return True

    def link(self, provider: WebSocketConnection) -> MediaLink:
        return MediaLink(
            connection=provider, shape=PROVIDER, incoming=TWILIO, template=APPEND, outgoing=TWILIO, mark=MARK
        )


class Far:
    """A server whose connections a test holds, each as the far end of one it dials."""

    def __init__(self) -> None:
        self.arrived: list[WebSocketConnection] = []
        self.done = anyio.Event()

    async def accept(self, _: Request) -> Upgrade:
        async def run(connection: WebSocketConnection) -> None:
            self.arrived.append(connection)
            await self.done.wait()

        return Upgrade(run, max_size=2**22, ping_interval=None)


@asynccontextmanager
async def pairs(count: int, clock: Clock) -> AsyncIterator[list[tuple[WebSocketConnection, WebSocketConnection]]]:
    """Connections and their far ends, which are servers'."""
    far = Far()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server([Route("GET", "/", far.accept)], grace=1.0))
        stack.callback(far.done.set)
        near = []
        for number in range(count):
            near.append(
                await stack.enter_async_context(
                    connect_websocket(server.url, ping_interval=None, close_timeout=0.1, clock=SYSTEM_CLOCK)
                )
            )
            while len(far.arrived) <= number:
                await anyio.lowlevel.checkpoint()
        yield list(zip(near, far.arrived, strict=True))


@pytest.fixture(params=POLLERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def call_with_models(
    kind: str, models: int = 1, *, clock: Clock = SYSTEM_CLOCK, max_queued: int = 2**20
) -> AsyncIterator[tuple[Call, list[tuple[WebSocketConnection, WebSocketConnection]]]]:
    """A call and so many providers, each with its far end; nothing is connected yet but the carrier."""
    async with POLLERS[kind](clock=clock) as poller:
        async with pairs(1 + models, clock) as ((phone, carrier), *others):
            for connection in (carrier, *(near for near, _ in others)):
                await connection.move_to(poller)
            call = Call(phone, carrier, poller, clock, max_queued)
            carrier.attach(call.up)
            yield call, others
        assert (poller.sources, poller.timers) == ([], 0)


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():
            await anyio.lowlevel.checkpoint()


async def test_the_caller_reaches_the_model_and_other_messages_python_in_order(kind: str) -> None:
    async with call_with_models(kind) as (call, [(provider, model)]):
        call.up.connect(call.link(provider))
        for message in ("start", media(FRAME), "?", media(FRAME[::-1]), "stop"):
            await call.phone.send(message)
        heard = b""
        while len(heard) < 320:
            heard += audio_of(await model.receive(), "audio")
        assert heard == FRAME + FRAME[::-1]
        await until(lambda: len(call.said) == 2)
        assert call.said == ["start", "stop"]
        assert await call.carrier.receive() == "?"


async def test_the_model_reaches_the_caller_at_the_pace_of_speech(kind: str) -> None:
    clock = ManualClock()
    async with call_with_models(kind, clock=clock) as (call, [(provider, model)]):
        call.down.connect(call.link(provider))
        for _ in range(50):
            await model.send(delta(FRAME))
        await until(lambda: call.downlink.stats.received_messages == 49)  # the first came another way
        sent = call.downlink.stats.sent_bytes
        assert sent <= 3200  # the lead of 400 ms
        await clock.advance(0.5)
        assert sent < call.downlink.stats.sent_bytes <= 3200 + 4000
        await clock.advance(1.0)
        assert call.downlink.stats.sent_bytes == 8000
        heard = b""
        while len(heard) < 8000:
            message = await call.phone.receive()
            if "media" in from_json(message):
                heard += audio_of(message, "media")
        assert heard == FRAME * 50
        assert len(call.said) == 1


async def test_a_flood_is_read_at_a_few_times_real_time(kind: str) -> None:
    clock = ManualClock()
    async with call_with_models(kind, clock=clock) as (call, _), anyio.create_task_group() as tasks:

        async def flood() -> None:
            while True:
                await call.phone.send(media(bytes(8000)))

        tasks.start_soon(flood)
        await until(lambda: call.carrier.line is not None and call.carrier.line.is_paused)
        first = call.uplink.stats.received_bytes
        assert 80_000 <= first <= 140_000  # ten seconds, and what one read brings
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert call.uplink.stats.received_bytes == first
        for _ in range(20):
            await clock.advance(0.5)
            await anyio.lowlevel.checkpoint()
        assert call.uplink.stats.received_bytes <= first + 4 * 80_000 + 60_000
        assert call.uplink.stats.received_bytes >= first + 2 * 80_000
        tasks.cancel_scope.cancel()


async def test_a_flood_of_other_messages_is_slowed_too(kind: str) -> None:
    clock = ManualClock()
    async with call_with_models(kind, clock=clock) as (call, _), anyio.create_task_group() as tasks:

        async def flood() -> None:
            while True:
                await call.phone.send("{}" + " " * 500)

        tasks.start_soon(flood)
        await until(lambda: call.carrier.line is not None and call.carrier.line.is_paused)
        first = len(call.said)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert 1000 <= len(call.said) == first
        await clock.advance(10)
        assert first < len(call.said) <= first + 1000 + 100  # and what one read brings
        tasks.cancel_scope.cancel()


async def test_a_new_provider_hears_what_it_missed_and_then_goes_live(kind: str) -> None:
    async with call_with_models(kind, 2) as (call, [(old, old_model), (new, new_model)]):
        call.up.connect(call.link(old))
        await call.phone.send(media(FRAME))
        assert audio_of(await old_model.receive(), "audio") == FRAME
        call.up.disconnect()
        missed = bytes(range(256)) * 125  # four seconds
        for start in range(0, len(missed), 320):
            await call.phone.send(media(missed[start : start + 320]))
        await until(lambda: call.uplink.end == 160 + len(missed))
        call.up.connect(call.link(new), position=160)
        await call.phone.send(media(FRAME))
        heard, messages = b"", 0
        with anyio.fail_after(5):
            while len(heard) < len(missed) + 160:
                heard += audio_of(await new_model.receive(), "audio")
                messages += 1
        assert heard == missed + FRAME
        assert 4 <= messages <= 6
        assert call.uplink.behind == 0


async def test_a_full_queue_pauses_the_provider_until_it_is_played(kind: str) -> None:
    clock = ManualClock()
    async with call_with_models(kind, clock=clock, max_queued=16_000) as (call, [(provider, model)]):
        call.down.connect(call.link(provider))
        async with anyio.create_task_group() as tasks:

            async def speak() -> None:
                for _ in range(400):
                    await model.send(delta(bytes(1600)))

            tasks.start_soon(speak)
            await until(lambda: provider.line is not None and provider.line.is_paused)
            assert call.downlink.queued <= 16_000 + 40_000  # and what one read brings
            for _ in range(2 * 100):
                await clock.advance(0.5)
                await anyio.wait_all_tasks_blocked()
                assert call.downlink.queued <= 16_000 + 40_000
        assert call.downlink.stats.sent_bytes == 640_000
        assert call.downlink.stats.dropped_bytes == 0


async def test_a_cleared_queue_lets_the_provider_be_read_again(kind: str) -> None:
    clock = ManualClock()
    async with call_with_models(kind, clock=clock, max_queued=16_000) as (call, [(provider, model)]):
        call.down.connect(call.link(provider))
        for _ in range(15):
            await model.send(delta(bytes(1600)))
        await until(lambda: provider.line is not None and provider.line.is_paused)
        await model.send('{"type":"speech_started"}')
        call.downlink.clear(clock.now())
        call.down.look()
        await until(lambda: '{"type":"speech_started"}' in call.said)


async def test_a_provider_that_does_not_read_ends_its_line_alone(kind: str) -> None:
    async with call_with_models(kind) as (call, [(provider, _)]):
        call.up.connect(call.link(provider))
        assert provider.line is not None
        for _ in range(3000):
            provider.line.write(bytes(10_000))
        with pytest.raises(ConnectionLost, match="does not read"):
            await provider.receive()
        await call.phone.send(media(FRAME))
        await call.phone.send("still here")
        await until(lambda: call.said == ["still here"])


async def test_connecting_needs_connections_on_lines(kind: str) -> None:
    async with call_with_models(kind, 0) as (call, _), pairs(1, SYSTEM_CLOCK) as [(near, _)]:
        for connect in (call.up.connect, call.down.connect):
            with pytest.raises(LocalProtocolError):
                connect(call.link(near))
        with pytest.raises(LocalProtocolError):
            UplinkSink(call.uplink, near, call.handle)
