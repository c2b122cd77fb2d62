"""Which errors are a reason to try another provider, and when one is left alone."""

import pytest

from trunkline.errors import (
    AllProvidersFailed,
    AuthFailed,
    ConnectionFailed,
    ConnectionLost,
    HandshakeRejected,
    InvalidConfig,
    LocalProtocolError,
    ModelUnavailable,
    ProviderUnavailable,
    RateLimited,
    RemoteProtocolError,
    RequestRejected,
    SessionClosed,
)
from trunkline.realtime.reconnect.fallback import CoolDown, may_fall_back, retry_after


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionFailed("x"),
        ProviderUnavailable("x"),
        RateLimited("x"),
        ModelUnavailable("x"),
        ConnectionLost(),
        RuntimeError("nobody knows it"),
        _caused(ConnectionFailed("x"), RemoteProtocolError("v", "no HTTP")),
        _caused(RuntimeError("x"), ConnectionFailed("x")),
        ExceptionGroup("x", [ConnectionFailed("x"), RuntimeError("x")]),
        AllProvidersFailed([("a", ConnectionFailed("x"))]),
    ],
)
def test_reasons_to_go_on(error: Exception) -> None:
    assert may_fall_back(error)


@pytest.mark.parametrize(
    "error",
    [
        AuthFailed("x"),
        RequestRejected("x"),
        SessionClosed(),
        InvalidConfig("voice", "x"),
        LocalProtocolError("x"),
        _caused(AuthFailed("x"), HandshakeRejected(401)),
        _caused(RuntimeError("x"), AuthFailed("x")),
        _caused(ConnectionFailed("x"), InvalidConfig("voice", "x")),
        _caused(RuntimeError("x"), _caused(ValueError("y"), AuthFailed("z"))),
        ExceptionGroup("x", [ConnectionFailed("x"), ExceptionGroup("y", [AuthFailed("x")])]),
        ExceptionGroup("x", [_caused(RuntimeError("x"), AuthFailed("x"))]),
        AllProvidersFailed([("a", ConnectionFailed("x")), ("b", AuthFailed("x"))]),
    ],
)
def test_reasons_to_stop(error: Exception) -> None:
    assert not may_fall_back(error)


def test_errors_that_cause_each_other_come_to_an_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert may_fall_back(one)


def test_how_long_a_vendor_wants_to_be_left_alone() -> None:
    limited = RateLimited("x", retry_after=7)
    assert retry_after(limited) == 7
    assert retry_after(_caused(RuntimeError("x"), limited)) == 7
    assert retry_after(_caused(ConnectionFailed("x"), HandshakeRejected(503, retry_after=3))) == 3
    assert retry_after(ConnectionFailed("x")) is None


def test_left_alone_after_failures_in_a_row() -> None:
    state = CoolDown(failures=2, seconds=30)
    state.failed(ConnectionFailed("x"), now=0)
    state.succeeded()
    state.failed(ConnectionFailed("x"), now=1)
    assert state.until < 1
    state.failed(ConnectionFailed("x"), now=2)
    assert state.until == 32
    state.succeeded()
    assert state.until < 0


def test_left_alone_as_long_as_the_vendor_asked() -> None:
    state = CoolDown(failures=5, seconds=30)
    state.failed(RateLimited("x", retry_after=7), now=10)
    assert state.until == 17
