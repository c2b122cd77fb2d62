"""Refusals and failures of OpenAI Realtime as errors."""

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
    SessionClosed,
)
from trunkline.wire.realtime.openai.errors import (
    error_from,
    error_from_close,
    error_from_status,
    is_benign,
    without_key,
)
from trunkline.wire.realtime.openai.events import VendorError

INVALID = "invalid_request_error"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (VendorError("Incorrect API key", "invalid_api_key", INVALID), AuthFailed),
        (VendorError("Missing bearer or basic authentication in header", "", INVALID), AuthFailed),
        (VendorError("slow down", "rate_limit_exceeded", INVALID), RateLimited),
        (VendorError("slow down", "inference_rate_limit_exceeded"), RateLimited),
        (VendorError("pay", "insufficient_quota"), QuotaExceeded),
        (VendorError("?", "invalid_model", INVALID), ModelUnavailable),
        (VendorError("?", "missing_model", INVALID), ModelUnavailable),
        (VendorError("beta", "beta_api_shape_disabled", INVALID), RequestRejected),
        (VendorError("bad", "unknown_parameter", INVALID), RequestRejected),
        (VendorError("oh", "server_error", "server_error"), ProviderUnavailable),
        (VendorError("oh", "", "server_error"), ProviderUnavailable),
        (
            VendorError("Your session hit the maximum duration of 60 minutes.", "session_expired", INVALID),
            SessionClosed,
        ),
        (VendorError("?", "new_code", "new_error"), ProviderError),
    ],
)
def test_error_events(error: VendorError, kind: type[ProviderError]) -> None:
    found = error_from(error)
    assert type(found) is kind
    assert (found.vendor, found.code, found.message) == ("openai", error.code or None, error.message)


@pytest.mark.parametrize(
    ("code", "reason", "kind", "named"),
    [
        (3000, f"{INVALID}.invalid_api_key", AuthFailed, "invalid_api_key"),
        (3000, f"{INVALID}.something_new", AuthFailed, "something_new"),
        (3000, "", AuthFailed, "3000"),
        (4000, f"{INVALID}.invalid_model", ModelUnavailable, "invalid_model"),
        (4000, f"{INVALID}.beta_api_shape_disabled", RequestRejected, "beta_api_shape_disabled"),
        (4000, "", RequestRejected, "4000"),
        (1001, "Your session hit the maximum duration of 60 minutes.", SessionClosed, "session_expired"),
        (1001, "", ConnectionFailed, "1001"),
        (1006, "", ConnectionFailed, "1006"),
        (1011, "keepalive", ProviderUnavailable, "1011"),
        (4999, "who knows", ConnectionFailed, "4999"),
    ],
)
def test_close_codes(code: int, reason: str, kind: type[ProviderError], named: str) -> None:
    found = error_from_close(code, reason)
    assert type(found) is kind
    assert found.code == named
    assert found.vendor == "openai"


def test_an_ordinary_close_is_no_error() -> None:
    assert error_from_close(1000, "") is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_api_key", AuthFailed),
        (401, None, AuthFailed),
        (403, None, AuthFailed),
        (403, "model_not_found", ModelUnavailable),
        (404, None, ModelUnavailable),
        (429, None, RateLimited),
        (400, None, RequestRejected),
        (500, None, ProviderUnavailable),
        (503, None, ProviderUnavailable),
        (302, None, RequestRejected),
    ],
)
def test_statuses_on_the_upgrade(status: int, code: str | None, kind: type[ProviderError]) -> None:
    body = json.dumps({"error": {"message": "the vendor's words", "type": INVALID, "param": None, "code": code}})
    found = error_from_status(status, body, retry_after=7.0)
    assert type(found) is kind
    assert (found.message, found.code, found.retry_after) == ("the vendor's words", code or str(status), 7.0)


@pytest.mark.parametrize(
    "body", ["", "<html>Bad gateway</html>", '{"error": 1}', '{"error": {"message": [1]}}', "[]", '{"er']
)
def test_a_body_of_another_kind_does_not_matter(body: str) -> None:
    found = error_from_status(502, body)
    assert type(found) is ProviderUnavailable
    assert str(found) == "[502] refused with HTTP status 502"


@pytest.mark.parametrize(
    ("error", "benign"),
    [
        (VendorError("", "response_cancel_not_active"), True),
        (VendorError("", "input_audio_buffer_commit_empty"), True),
        (VendorError("", "item_truncate_invalid_item_id"), True),
        (VendorError("", "conversation_already_has_active_response"), True),
        (
            VendorError(
                "Audio content of 6350ms is already shorter than 8160ms", "invalid_value", INVALID, "audio_end_ms"
            ),
            True,
        ),
        (VendorError("Only model output audio messages can be truncated"), True),
        (VendorError("Invalid value: 'bogus'.", "invalid_value", INVALID, "session.audio.output.voice"), False),
        (VendorError("", "server_error"), False),
    ],
)
def test_errors_that_a_voice_call_may_pass_by(error: VendorError, benign: bool) -> None:
    assert is_benign(error) is benign


def test_a_key_in_the_vendors_words_is_taken_out() -> None:
    told = error_from(VendorError("Incorrect API key provided: sk-proj-abc***xyz. See ek_123456.", "invalid_api_key"))
    assert str(told) == "[invalid_api_key] Incorrect API key provided: sk-[hidden] See ek-[hidden]"
    assert without_key("skipping the desk_lamp") == "skipping the desk_lamp"
