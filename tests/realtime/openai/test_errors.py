"""Every way that connecting or talking can fail, as errors with their facts, and never with the key."""

import json
import traceback
from typing import Any

import pytest

from tests.realtime.scripted_vendor import KEY, Vendor, refusing, rest, scripted
from tests.transport.connect_proxy import ConnectProxy, connect_proxy
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ConnectionLost,
    HandshakeRejected,
    MessageTooLarge,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
    SessionClosed,
)
from trunkline.realtime.events import ErrorReported, ResponseFinished, SessionEnded
from trunkline.realtime.openai import OpenAIRealtimeProvider
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.realtime.openai.session import OpenAIRealtimeSession
from trunkline.realtime.provider import ProcessConfig
from trunkline.transport import Response, memory_pair
from trunkline.wire.realtime.openai.session import PCM, SessionInfo

pytestmark = pytest.mark.anyio


def shows_the_key(error: BaseException | None) -> bool:
    """Whether the key is anywhere in an error, in what caused it or in what it came from."""
    if error is None:
        return False
    told = f"{error} {error!r} {vars(error)} {''.join(traceback.format_exception(error))}"
    return KEY in told or shows_the_key(error.__cause__) or shows_the_key(error.__context__)


async def _refused(provider: OpenAIRealtimeProvider) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with provider.connect(ProcessConfig()):
            pytest.fail("it must not open")
    assert caught.value.vendor == "openai"
    assert not shows_the_key(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "headers", "kind", "named", "retry_after"),
    [
        (400, "invalid_value", {}, RequestRejected, "invalid_value", None),
        (401, "invalid_api_key", {}, AuthFailed, "invalid_api_key", None),
        (401, None, {}, AuthFailed, "401", None),
        (403, None, {}, AuthFailed, "403", None),
        (403, "model_not_found", {}, ModelUnavailable, "model_not_found", None),
        (404, None, {}, ModelUnavailable, "404", None),
        (429, "rate_limit_exceeded", {"Retry-After": "7"}, RateLimited, "rate_limit_exceeded", 7.0),
        (429, "insufficient_quota", {}, QuotaExceeded, "insufficient_quota", None),
        (500, None, {}, ProviderUnavailable, "500", None),
        (503, None, {"Retry-After": "2"}, ProviderUnavailable, "503", 2.0),
    ],
)
async def test_statuses_of_the_handshake(
    status: int, code: str | None, headers: dict[str, str], kind: type[Any], named: str, retry_after: float | None
) -> None:
    body = {"error": {"message": f"No, {KEY}.", "type": "invalid_request_error", "param": None, "code": code}}
    answer = Response(status, json.dumps(body), headers=[("X-Request-Id", "req_1"), *headers.items()])
    async with refusing(answer) as provider:
        error = await _refused(provider)
    assert type(error) is kind
    assert str(error) == f"[{named}] No, [hidden]."
    assert (error.request_id, error.retry_after) == ("req_1", retry_after)
    assert isinstance(error.__cause__, HandshakeRejected)
    assert error.__cause__.status == status


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("code", "close", "kind"),
    [
        ("invalid_api_key", 3000, AuthFailed),
        ("missing_model", 4000, ModelUnavailable),
        ("invalid_model", 4000, ModelUnavailable),
        ("beta_api_shape_disabled", 4000, RequestRejected),
        ("server_error", 1011, ProviderUnavailable),
    ],
)
async def test_an_error_and_a_close_instead_of_a_session(code: str, close: int, kind: type[Any], told: bool) -> None:
    async def script(vendor: Vendor) -> None:
        if told:
            await vendor.error(code, f"No, {KEY}.")
        await vendor.connection.aclose(close, f"invalid_request_error.{code}")

    async with scripted(script) as provider:
        error = await _refused(provider)
    assert (type(error), error.code) == (kind, code)
    if told:
        assert error.request_id == "event_1"
    else:
        assert isinstance(error.__cause__, ConnectionLost)
        assert error.__cause__.code == close


async def test_no_authorization_at_all() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.error(None, "Missing bearer or basic authentication in header")

    async with scripted(script) as provider:
        assert isinstance(await _refused(provider), AuthFailed)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_event", RequestRejected),
        ("invalid_value", RequestRejected),
        ("unknown_parameter", RequestRejected),
        ("missing_required_parameter", RequestRejected),
        ("integer_below_min_value", RequestRejected),
        ("cannot_update_voice", RequestRejected),
        ("item_delete_invalid_item_id", RequestRejected),
        ("item_retrieve_invalid_item_id", RequestRejected),
        ("invalid_tool_call_id", RequestRejected),
        ("item_not_found", RequestRejected),
        ("invalid_json", RequestRejected),
        ("rate_limit_exceeded", RateLimited),
        ("insufficient_quota", QuotaExceeded),
        ("input_audio_buffer_commit_empty", None),
        ("conversation_already_has_active_response", None),
        ("response_cancel_not_active", None),
        ("item_truncate_invalid_item_id", None),
        ("unsupported_content_type", None),
    ],
)
async def test_error_events_of_a_session(code: str, kind: type[ProviderError] | None) -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.error(code, f"No, {KEY}.")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        errors = [event for event in await rest(session) if isinstance(event, ErrorReported)]
    assert [type(event.error) for event in errors] == ([] if kind is None else [kind])
    for event in errors:
        assert (event.error.code, event.error.request_id, event.fatal) == (code, "event_3", False)
        assert not shows_the_key(event.error)


@pytest.mark.parametrize(
    ("close", "reason", "kind", "ended"),
    [
        (1000, "", None, "closed_by_vendor"),
        (1001, "Your session hit the maximum duration of 60 minutes.", SessionClosed, "session_expired"),
        (1001, f"bye {KEY}", ConnectionFailed, "failed"),
        (1011, f"keepalive {KEY}", ProviderUnavailable, "failed"),
        (3000, "invalid_request_error.invalid_api_key", AuthFailed, "failed"),
        (4000, "invalid_request_error.invalid_model", ModelUnavailable, "failed"),
    ],
)
async def test_closes_of_a_session(close: int, reason: str, kind: type[ProviderError] | None, ended: str) -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.connection.aclose(close, reason)

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        last = (await rest(session))[-1]
        with pytest.raises(SessionClosed) as caught:
            await session.send_audio(bytes(2))
    assert isinstance(last, SessionEnded)
    assert last.reason == ended
    assert not shows_the_key(last.error)
    assert not shows_the_key(caught.value)
    if kind is not None:
        assert type(last.error) is kind
        assert isinstance(last.error.__cause__, ConnectionLost)


async def test_a_failed_answer_is_an_error_without_the_key() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        failure = {"type": "server_error", "code": "server_error", "message": f"oh {KEY}"}
        await vendor.response_done("resp_1", "failed", status_details={"type": "failed", "error": failure})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        finished = next(event for event in await rest(session) if isinstance(event, ResponseFinished))
    assert isinstance(finished.error, ProviderUnavailable)
    assert not shows_the_key(finished.error)


async def test_a_message_as_large_as_the_vendor_may_send_and_one_above() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        for megabytes in (15, 17):
            await vendor.connection.send('{"type":"x","data":"' + "a" * (megabytes * 2**20) + '"}')

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
    assert [type(event) for event in told[1:]] == [ErrorReported, SessionEnded]
    assert isinstance(told[-1], SessionEnded)
    assert told[-1].error is not None
    assert isinstance(told[-1].error.__cause__, MessageTooLarge)


async def test_a_proxy_that_refuses_is_a_failed_connection() -> None:
    async with connect_proxy(ConnectProxy("ali:sesame")) as address:
        url = "https://vendor.test/v1"
        provider = OpenAIRealtimeProvider(api_key=KEY, base_url=url, proxy=f"http://ali:wrong@{address}")
        error = await _refused(provider)
    assert isinstance(error, ConnectionFailed)
    assert "HTTP status 407" in str(error)
    assert "wrong" not in str(error)


async def test_a_session_through_a_proxy() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()

    proxy = ConnectProxy()
    async with (
        connect_proxy(proxy) as address,
        scripted(script, proxy=f"http://{address}") as provider,
        provider.connect(ProcessConfig()),
    ):
        pass
    assert len(proxy.targets) == 1


async def test_a_send_that_meets_the_end_does_not_show_the_key_either() -> None:
    ours, theirs = memory_pair()
    session = OpenAIRealtimeSession(ours, SessionInfo("s", "m", PCM, PCM, True), errors=ErrorMap(KEY))
    await theirs.aclose(1011, f"bye {KEY}")
    with pytest.raises(SessionClosed) as caught:
        await session.send_audio(bytes(2))
    assert isinstance(caught.value.__cause__, ConnectionLost)
    assert caught.value.__cause__.reason == "bye [hidden]"
    assert not shows_the_key(caught.value)
    await session.aclose()


def test_without_a_key_of_ones_own_what_looks_like_one_is_taken_out() -> None:
    error = ErrorMap().refused(ConnectionLost(1006, "sk-abcdefgh was wrong"))
    assert str(error.__cause__) == "the connection ended with code 1006: sk-[hidden] was wrong"
