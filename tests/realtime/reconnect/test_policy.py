"""When a session is to be replaced, and which errors leave something to try."""

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
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RequestRejected,
    SessionClosed,
)
from trunkline.realtime import ReconnectPolicy, Watchdog
from trunkline.realtime.reconnect.policy import SessionPolicy, may_fall_back, may_retry, retry_after


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionFailed("x"), True),
        (RateLimited("x"), True),
        (ProviderUnavailable("x"), True),
        (OSError("x"), True),
        (_caused(ConnectionFailed("x"), SessionClosed("60 minutes", "session_expired")), True),
        (AllProvidersFailed([("a", AuthFailed("x")), ("b", ConnectionFailed("x"))]), True),
        (QuotaExceeded("x"), False),
        (ModelUnavailable("x"), False),
        (AuthFailed("x"), False),
        (RequestRejected("x"), False),
        (InvalidConfig("voice", "x"), False),
        (_caused(RuntimeError("x"), QuotaExceeded("x")), False),
        (AllProvidersFailed([("a", AuthFailed("x")), ("b", QuotaExceeded("x"))]), False),
    ],
)
def test_what_another_attempt_may_cure(error: Exception, expected: bool) -> None:
    assert may_retry(error) is expected


def _policy(rotate_after: float | None = None) -> SessionPolicy:
    return SessionPolicy(
        connect_timeout=10,
        failover=True,
        rotate_after=rotate_after,
        reconnect=ReconnectPolicy(),
        watchdog=None,
        replay_seconds=30,
    )


@pytest.mark.parametrize(
    ("rotate_after", "ending_at", "expected"),
    [
        (None, 3700.0, (3520.0, 3670.0, 3690.0)),
        (60.0, 3700.0, (160.0, 3670.0, 3690.0)),
        (7200.0, 3700.0, (3520.0, 3670.0, 3690.0)),
        (None, 200.0, (195.0, 196.0, 198.0)),
        (None, 50.0, (100.0, 50.0, 50.0)),
        (None, None, (float("inf"), float("inf"), float("inf"))),
        (60.0, None, (160.0, float("inf"), float("inf"))),
    ],
)
def test_when_a_session_that_began_at_100_s_is_replaced(
    rotate_after: float | None, ending_at: float | None, expected: tuple[float, float, float]
) -> None:
    assert _policy(rotate_after).rotate_from(100.0, ending_at) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", ["attempts", "longest_wait", "steady_after", "failed_answers"])
def test_numbers_that_make_no_sense_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidConfig, match=wrong):
        ReconnectPolicy(**{wrong: -1})  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="patience"):
        Watchdog(patience=0)
