"""Twilio's own library drives the simulated REST interface, unchanged: only the host is swapped below it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.testing.small_gateway import Gateway, caller
from trunkline.clock import ScaledClock
from trunkline.testing import TwilioSimulator
from trunkline.testing.twilio import Refuse

pytestmark = pytest.mark.anyio

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "0123456789abcdef0123456789abcdef"
OURS, THEIRS = "+15550100002", "+15550100003"
PAUSE = "<Response><Pause length='60'/></Response>"


class ToLoopback(TwilioHttpClient):  # type: ignore[misc] # it has no types
    """Leads every host to the simulator."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.hosts: list[str] = []

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        parts = urlsplit(url)
        self.hosts.append(parts.netloc)
        query = f"?{parts.query}" if parts.query else ""
        return super().request(method, f"{self.url}{parts.path}{query}", *args, **options)


class Library:
    """The library's client, in a thread."""

    def __init__(self, url: str, user: str = ACCOUNT, password: str = TOKEN, **options: Any) -> None:
        self.http = ToLoopback(url)
        self.client = Client(user, password, http_client=self.http, **options)

    async def do(self, command: Callable[[Client], Any]) -> Any:
        return await anyio.to_thread.run_sync(command, self.client)


def simulator(**options: Any) -> TwilioSimulator:
    return TwilioSimulator(account_sid=ACCOUNT, auth_token=TOKEN, clock=ScaledClock(10), **options)


async def test_library_creates_reads_redirects_and_ends_a_call() -> None:
    async with simulator(queue_time_ms=200) as carrier, carrier.next_call() as phone:
        library = Library(carrier.url)
        call = await library.do(lambda it: it.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE, send_digits="1w"))
        assert call.sid.startswith("CA")
        assert (call.status, call.direction, call.to, call._from) == ("queued", "outbound-api", THEIRS, OURS)
        assert call.queue_time == "200"
        await phone.answer()
        assert phone.played_digits == ["1w"]
        assert (await library.do(lambda it: it.calls(call.sid).fetch())).status == "in-progress"
        listed = await library.do(lambda it: it.calls.list(status="in-progress", limit=20))
        assert [one.sid for one in listed] == [call.sid]
        said = "<Response><Say>Hold the line.</Say><Pause length='60'/></Response>"
        await library.do(lambda it: it.calls(call.sid).update(twiml=said))
        await phone.wait_for("say")
        await library.do(lambda it: it.calls(call.sid).update(status="completed"))
        await phone.wait_ended()
        ended = await library.do(lambda it: it.calls(call.sid).fetch())
        assert ended.status == "completed"
        assert ended.end_time is not None
        assert int(ended.duration) >= 0


async def test_library_cancels_what_rings_and_is_told_that_it_is_over() -> None:
    async with simulator() as carrier, carrier.next_call() as phone:
        library = Library(carrier.url)
        call = await library.do(lambda it: it.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
        await phone.rings()
        with pytest.raises(TwilioRestException) as early:
            await library.do(lambda it: it.calls(call.sid).update(twiml=PAUSE))
        assert (early.value.status, early.value.code) == (400, 21220)
        await library.do(lambda it: it.calls(call.sid).update(status="canceled"))
        await phone.wait_ended()
        assert (await library.do(lambda it: it.calls(call.sid).fetch())).status == "canceled"
        with pytest.raises(TwilioRestException) as late:
            await library.do(lambda it: it.calls(call.sid).update(status="completed"))
        assert (late.value.status, late.value.code) == (400, 21220)


async def test_library_starts_pauses_and_stops_a_recording() -> None:
    async with simulator() as carrier, carrier.next_call() as phone:
        library = Library(carrier.url)
        call = await library.do(lambda it: it.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
        await phone.answer()
        recording = await library.do(lambda it: it.calls(call.sid).recordings.create(recording_channels="dual"))
        assert (recording.status, recording.channels) == ("in-progress", 2)
        for status in ("paused", "in-progress", "stopped"):
            change = lambda it, to=status: it.calls(call.sid).recordings("Twilio.CURRENT").update(status=to)  # noqa: E731
            assert (await library.do(change)).status == status


@pytest.mark.parametrize(
    ("to", "from_", "code"), [("555", OURS, 21211), (THEIRS, "555", 21212)], ids=["bad To", "bad From"]
)
async def test_library_raises_what_the_interface_refuses(to: str, from_: str, code: int) -> None:
    async with simulator() as carrier:
        with pytest.raises(TwilioRestException) as caught:
            await Library(carrier.url).do(lambda it: it.calls.create(to=to, from_=from_, twiml=PAUSE))
    assert (caught.value.status, caught.value.code) == (400, code)


async def test_library_raises_what_the_script_says_in_both_shapes() -> None:
    async with simulator() as carrier:
        library = Library(carrier.url)
        carrier.script([Refuse(retry_after=1), Refuse(status=503, code=20503, problem=True)])
        with pytest.raises(TwilioRestException) as classic:
            await library.do(lambda it: it.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
        assert (classic.value.status, classic.value.code) == (429, 20429)
        with pytest.raises(TwilioException) as newer:
            await library.do(lambda it: it.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
        assert (newer.value.status, newer.value.code) == (503, 20503)
        with pytest.raises(TwilioRestException) as unknown:
            await library.do(lambda it: it.calls("CA00000000000000000000000000000009").fetch())
        assert (unknown.value.status, unknown.value.code) == (404, 20404)


async def test_library_with_an_api_key_and_a_region() -> None:
    async with simulator(api_keys={"SK1": "secret"}) as carrier:
        library = Library(carrier.url, "SK1", "secret", account_sid=ACCOUNT, edge="sydney", region="au1")
        call = await library.do(lambda it: it.calls.create(to=THEIRS, from_=OURS, twiml=PAUSE))
        assert library.http.hosts == ["api.sydney.au1.twilio.com"]
        assert call.account_sid == ACCOUNT
        for user, password in (("SK1", "guessed"), (ACCOUNT, "guessed"), ("SK2", "secret")):
            wrong = Library(carrier.url, user, password, account_sid=ACCOUNT)
            with pytest.raises(TwilioRestException) as refused:
                await wrong.do(lambda it: it.calls(call.sid).fetch())
            assert (refused.value.status, refused.value.code) == (401, 20003)


async def test_library_redirects_a_call_that_came_in(gateway: Gateway) -> None:
    gateway.connect()
    clock = ScaledClock(10)
    async with simulator() as carrier, caller(gateway, account_sid=ACCOUNT, carrier=carrier, clock=clock) as call:
        library = Library(carrier.url)
        document = f'<Response><Play digits="7"/><Connect><Stream url="{gateway.media_url}"/></Connect></Response>'
        first = call.start["streamSid"]
        await library.do(lambda it: it.calls(call.call_sid).update(twiml=document))
        await call.wait_for("stream started", count=2)
        assert call.start["streamSid"] != first
        assert call.played_digits == ["7"]
        await gateway.until(lambda: len(gateway.of("stop")) == 1)
        await library.do(lambda it: it.calls(call.call_sid).update(twiml="<Response><Hangup/></Response>"))
        await call.wait_ended()
        assert call.ended_by == "carrier"
