"""What Deepgram, ElevenLabs and OpenAI say when they refuse, in all its shapes."""

import json

import pytest

from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
)
from trunkline.wire.vendors import deepgram, elevenlabs, openai


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (
            401,
            '{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"r"}',
            AuthFailed,
            "[INVALID_AUTH]",
        ),
        (400, '{"category":"INVALID_JSON","message":"Invalid JSON."}', RequestRejected, "[INVALID_JSON] Invalid JSON."),
        (400, "no such model", ModelUnavailable, "[400] no such model"),
        (402, "", QuotaExceeded, "[402] refused with HTTP status 402"),
        (403, "", ModelUnavailable, "[403]"),
        (429, "slow down", RateLimited, "[429] slow down"),
        (503, "<html>", ProviderUnavailable, "[503] <html>"),
    ],
)
def test_deepgrams_refusals(status: int, body: str, kind: type[ProviderError], text: str) -> None:
    error = deepgram.error_from_status(status, body, retry_after=3.0)
    assert type(error) is kind
    assert text in str(error)
    assert error.retry_after == 3.0


@pytest.mark.parametrize(
    ("code", "kind"), [(1008, RequestRejected), (1011, ProviderUnavailable), (1006, ConnectionFailed)]
)
def test_close_codes(code: int, kind: type[ProviderError]) -> None:
    for vendor in (deepgram, elevenlabs):
        assert type(vendor.error_from_close(code, "why")) is kind
        assert vendor.error_from_close(1000, "") is None


@pytest.mark.parametrize(
    ("status", "detail", "kind", "text"),
    [
        (401, {"status": "invalid_api_key", "message": "Invalid API key"}, AuthFailed, "[invalid_api_key]"),
        (401, {"code": "quota_exceeded", "message": "no credit"}, QuotaExceeded, "[quota_exceeded] no credit"),
        (422, [{"loc": ["body"], "msg": "field required", "type": "missing"}], RequestRejected, "field required"),
        (404, "Not found", ModelUnavailable, "[404] Not found"),
        (429, {"code": "concurrent_limit_exceeded", "message": "wait"}, RateLimited, "wait"),
        (500, None, ProviderUnavailable, "[500] refused with HTTP status 500"),
    ],
)
def test_elevenlabs_refusals(status: int, detail: object, kind: type[ProviderError], text: str) -> None:
    error = elevenlabs.error_from_status(status, json.dumps({"detail": detail}))
    assert type(error) is kind
    assert text in str(error)


def test_a_key_in_a_sentence_is_taken_out() -> None:
    error = elevenlabs.error_from_status(401, json.dumps({"detail": "bad key sk_0123456789abcdef"}))
    assert "0123456789" not in str(error)


@pytest.mark.parametrize(
    ("status", "error", "kind", "text"),
    [
        (429, {"code": "rate_limit_exceeded", "type": "requests", "message": "wait"}, RateLimited, "wait"),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, QuotaExceeded, "[insufficient_quota]"),
        (429, {"type": "insufficient_quota", "message": "no credit"}, QuotaExceeded, "[429] no credit"),
        (404, {"type": "invalid_request_error", "message": "no such model"}, ModelUnavailable, "no such model"),
        (401, {"type": "server_error", "message": "bad key"}, AuthFailed, "bad key"),
        (400, {"type": "server_error", "message": "later"}, ProviderUnavailable, "later"),
        (400, "only a text", RequestRejected, "[400] only a text"),
        (409, None, ProviderUnavailable, "[409] refused with HTTP status 409"),
    ],
)
def test_openais_refusals(status: int, error: object, kind: type[ProviderError], text: str) -> None:
    found = openai.error_from_status(status, json.dumps({"error": error}), retry_after=3.0, request_id="r")
    assert type(found) is kind
    assert text in str(found)
    assert (found.retry_after, found.request_id) == (3.0, "r")


def test_openais_error_may_stand_where_others_have_an_object() -> None:
    body = json.dumps({"object": "error", "message": "too long", "code": "context_length_exceeded"})
    found = openai.error_from_status(400, body)
    assert type(found) is RequestRejected
    assert str(found) == "[context_length_exceeded] too long"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": {"code": "503", "message": "busy"}}, ProviderUnavailable),
        ({"error": {"code": "429", "message": "busy"}}, RateLimited),
        ({"error": {"type": "invalid_request_error", "message": "no"}}, RequestRejected),
        ({"error": "broken"}, ProviderUnavailable),
    ],
)
def test_openais_errors_in_a_stream(event: dict[str, object], kind: type[ProviderError]) -> None:
    assert type(openai.error_in(event)) is kind


def test_a_message_without_an_error_tells_none() -> None:
    assert openai.error_in({"choices": []}) is None


def test_openais_refusal_does_not_show_a_key() -> None:
    body = json.dumps({"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-abcd****wxyz."}})
    assert "abcd" not in str(openai.error_from_status(401, body))
