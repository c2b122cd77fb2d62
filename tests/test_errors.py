"""Errors hold facts, make their sentences of them, and have second names that are the same classes."""

import json
import pickle

import anyio
import pytest

from trunkline import errors
from trunkline.errors import (
    AgentClosed,
    AllProvidersFailed,
    AuthenticationFailed,
    AuthFailed,
    ConnectionLost,
    ErrUnknownProvider,
    HandshakeRejected,
    InvalidConfig,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RemoteProtocolError,
    SessionClosed,
    TrunklineError,
    UnknownProvider,
    single,
)


def test_reason_of_the_other_side_cannot_write_lines_into_a_log() -> None:
    sentence = str(ConnectionLost(1011, "overload\nERROR all is lost\x1b[2J"))
    assert sentence == "the connection ended with code 1011: overload\ufffdERROR all is lost\ufffd[2J"


@pytest.mark.parametrize(
    ("second", "first"),
    [
        ("RealtimeError", "ProviderError"),
        ("RealtimeConnectionError", "ConnectionFailed"),
        ("AuthenticationFailed", "AuthFailed"),
        ("AgentClosed", "SessionClosed"),
        ("ErrAgentClosed", "SessionClosed"),
        ("ErrAuthFailed", "AuthFailed"),
        ("ErrConnectionFailed", "ConnectionFailed"),
        ("ErrInvalidConfig", "InvalidConfig"),
        ("ErrModelUnavailable", "ModelUnavailable"),
        ("ErrRateLimited", "RateLimited"),
        ("ErrSessionClosed", "SessionClosed"),
        ("ErrUnknownProvider", "UnknownProvider"),
    ],
)
def test_second_name_is_the_same_class(second: str, first: str) -> None:
    assert getattr(errors, second) is getattr(errors, first)


def test_every_class_has_a_place_in_the_tree_and_a_sentence_about_it() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    for cls in classes:
        assert issubclass(cls, TrunklineError)
        assert cls.__doc__
        assert cls.__name__ in (errors.__doc__ or "")


def test_authentication_failed_is_a_provider_error_that_ends_the_search_for_another() -> None:
    with pytest.raises(ProviderError) as raised:
        raise AuthenticationFailed("the key was refused", "invalid_api_key", vendor="openai")
    assert isinstance(raised.value, AuthFailed)
    assert str(raised.value) == "[invalid_api_key] the key was refused"
    assert not raised.value.may_fall_back
    assert ProviderUnavailable("down").may_fall_back


def test_agent_closed_says_that_the_session_is_over() -> None:
    with pytest.raises(SessionClosed, match="the session is closed"):
        raise AgentClosed(vendor="openai")


def test_unknown_provider_is_made_of_its_name_alone() -> None:
    error = ErrUnknownProvider("x")
    assert (error.provider, error.available) == ("x", ())
    assert str(error) == "unknown provider 'x'; available: none"
    error = UnknownProvider("x", kind="stt", available=["b", "a"])
    assert str(error) == "unknown stt provider 'x'; available: a, b"
    assert isinstance(error, ValueError)


async def test_context_cancelled_catches_the_cancellation_of_either_loop() -> None:
    caught = False
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except errors.ContextCancelled:
            caught = True
            raise
    assert caught
    assert anyio.get_cancelled_exc_class() in errors.ContextCancelled


def test_errors_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = errors.Nonsense


def test_single_unwraps_groups_of_one_only() -> None:
    error, other = KeyError("x"), ValueError("y")
    assert single(error) is error
    assert single(ExceptionGroup("", [ExceptionGroup("", [error])])) is error
    group = ExceptionGroup("", [error, other])
    assert single(group) is group
    assert single(ExceptionGroup("", [group])) is group
    stop = KeyboardInterrupt()
    assert single(BaseExceptionGroup("", [stop])) is stop


@pytest.mark.parametrize(
    ("error", "values"),
    [
        (
            RateLimited("slow down", "rate_limit", vendor="openai", request_id="req_1", retry_after=2.5),
            {
                "type": "RateLimited",
                "message": "[rate_limit] slow down",
                "code": "rate_limit",
                "vendor": "openai",
                "request_id": "req_1",
                "retry_after": 2.5,
            },
        ),
        (
            HandshakeRejected(503),
            {
                "type": "HandshakeRejected",
                "message": "the WebSocket upgrade was refused with HTTP status 503",
                "status": 503,
                "body": "",
            },
        ),
        (
            InvalidConfig("voice", "is unknown"),
            {
                "type": "InvalidConfig",
                "message": "voice: is unknown",
                "field": "voice",
                "reason": "is unknown",
            },
        ),
        (
            AllProvidersFailed([("openai", OSError("no route"))]),
            {
                "type": "AllProvidersFailed",
                "message": "every provider failed: openai: no route",
                "vendor": "",
                "attempts": [{"provider": "openai", "type": "OSError", "message": "no route"}],
            },
        ),
    ],
)
def test_error_as_json_holds_its_facts(error: TrunklineError, values: dict[str, object]) -> None:
    assert json.loads(json.dumps(error.to_json())) == values


def test_remote_protocol_error_says_where() -> None:
    assert str(RemoteProtocolError("twilio", "is not text", path="media.payload")) == (
        "twilio sent a message that cannot be read at media.payload: is not text"
    )


def test_unknown_provider_survives_pickling() -> None:
    assert str(pickle.loads(pickle.dumps(UnknownProvider("x")))) == "unknown provider 'x'; available: none"
