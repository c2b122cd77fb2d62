"""Close codes and statuses as errors."""

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
from trunkline.wire.realtime.gemini.errors import error_from_close, error_from_status, refuses_handle, without_key

NOT_FOUND = (
    "models/nope is not found for API version v1beta, or is not supported for bidiGenerateContent. Call ModelServic"
)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1007, "API key not valid. Please pass a valid API key.", AuthFailed),
        (1008, "Method doesn't allow unregistered callers (callers without established identity). Please", AuthFailed),
        (1008, "Your project has been denied access. Please contact support.", AuthFailed),
        (1008, NOT_FOUND, ModelUnavailable),
        (1007, "gemini-x is not supported in the live api.", ModelUnavailable),
        (1007, "User location is not supported for the API use.", ModelUnavailable),
        (1007, "Request contains an invalid argument.", RequestRejected),
        (1007, 'Invalid JSON payload received. Unknown name "x"', RequestRejected),
        (1007, "No matching speaker voice found for name: alloy", RequestRejected),
        (1008, "Operation is not implemented, or supported, or enabled.", ConnectionFailed),
        (1008, "The operation was aborted.", SessionClosed),
        (1008, "Connection aborted because the client failed to close the connection after receiving", SessionClosed),
        (1011, "Deadline expired before operation could complete.", SessionClosed),
        (1011, "Internal error encountered.", ProviderUnavailable),
        (1011, "The service is currently unavailable.", ProviderUnavailable),
        (1011, "Resource has been exhausted (e.g. check quota).", RateLimited),
        (1011, "You exceeded your current quota, please check your plan and billing details. For", QuotaExceeded),
        (1011, "Your prepayment credits are depleted.", QuotaExceeded),
        (1006, "", ConnectionFailed),
    ],
)
def test_close_becomes_error(code: int, reason: str, kind: type[ProviderError]) -> None:
    error = error_from_close(code, reason)
    assert type(error) is kind
    assert error.vendor == "gemini"
    assert error.message == (reason or "the connection ended with code 1006")


def test_ordinary_close_is_no_error() -> None:
    assert error_from_close(1000, "") is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", AuthFailed),
        (404, "<html>", ModelUnavailable),
        (429, '{"error":{"message":"You exceeded your current quota"}}', QuotaExceeded),
        (400, '{"error":{"message":"API key not valid."}}', AuthFailed),
        (400, "", RequestRejected),
        (503, "", ProviderUnavailable),
    ],
)
def test_status_becomes_error(status: int, body: str, kind: type[ProviderError]) -> None:
    error = error_from_status(status, body, retry_after=3.0)
    assert type(error) is kind
    assert error.retry_after == 3.0


def test_handle_is_refused_by_what_may_be_about_it() -> None:
    assert refuses_handle(1007, "Request contains an invalid argument.")
    assert refuses_handle(1008, "")
    assert not refuses_handle(1007, "API key not valid. Please pass a valid API key.")
    assert not refuses_handle(1011, "Internal error encountered.")


def test_keys_and_tokens_are_taken_out() -> None:
    assert without_key("key AIzaSyD-0123456789 and auth_tokens/abcd.efgh") == "key [hidden] and [hidden]"
