"""What the service sends otherwise than OpenAI's, and what becomes of its errors."""

import json
from typing import Any

import pytest

from trunkline.conversation import HistoryItem
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ModelUnavailable,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RequestRejected,
    SessionClosed,
)
from trunkline.wire.realtime.openai.events import (
    AudioDelta,
    ErrorReceived,
    InputTranscript,
    ItemAdded,
    OutputText,
    ResponseDone,
    UnknownEvent,
    VendorError,
)
from trunkline.wire.realtime.qwen.decode import parse
from trunkline.wire.realtime.qwen.errors import error_from, error_from_close, error_from_status, is_benign
from trunkline.wire.realtime.qwen.history import instructions_with_history


def read(**event: Any) -> Any:
    return parse(json.dumps({"event_id": "event_1", **event}))


@pytest.mark.parametrize("name", ["delta", "text"])
def test_words_that_may_change_are_kept_apart(name: str) -> None:
    kind = f"conversation.item.input_audio_transcription.{name}"
    event = read(type=kind, item_id="item_1", text="hello", stash=" wor")
    assert event == InputTranscript("item_1", "hello", is_final=False, pending=" wor")


def test_older_names_are_understood() -> None:
    assert isinstance(read(type="response.audio.delta", delta="AAAA", response_id="r", item_id="i"), AudioDelta)
    assert read(type="response.text.done", text="Hi.") == OutputText("", "", 0, "Hi.", is_final=True)
    assert isinstance(read(type="conversation.item.created", item={"id": "item_1"}), ItemAdded)
    assert read(type="session.finished") == UnknownEvent("session.finished")


def test_usage_has_plural_names() -> None:
    usage = {
        "total_tokens": 377,
        "input_tokens": 336,
        "output_tokens": 41,
        "input_tokens_details": {"text_tokens": 228, "audio_tokens": 108},
        "output_tokens_details": {"audio_tokens": 32},
    }
    done = read(type="response.done", response={"id": "resp_1", "status": "completed", "usage": usage})
    assert isinstance(done, ResponseDone)
    assert done.usage is not None
    assert (done.usage.input_audio_tokens, done.usage.output_audio_tokens, done.usage.output_text_tokens) == (
        108,
        32,
        0,
    )


def test_a_frame_without_a_type_is_an_error_that_ends_the_session() -> None:
    event = parse('{"code":"AllocationQuota.FreeTierOnly","message":"No more."}')
    assert isinstance(event, ErrorReceived)
    assert event.error.ends_session
    assert isinstance(error_from(event.error), QuotaExceeded)
    with pytest.raises(RemoteProtocolError, match="type"):
        parse('{"hello": 1}')


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (VendorError("no", code="invalid_value", kind="invalid_request_error"), RequestRejected),
        (VendorError("no", code="InvalidApiKey"), AuthFailed),
        (VendorError("no", code="Arrearage"), QuotaExceeded),
        (VendorError("no", code="Throttling.RateQuota"), RateLimited),
        (VendorError("no", code="ModelNotFound"), ModelUnavailable),
        (VendorError("no", code="COMMON_ERROR"), ProviderUnavailable),
        (VendorError("no", code="user_idle_timeout"), SessionClosed),
    ],
)
def test_each_code_has_its_error(error: VendorError, kind: type[Exception]) -> None:
    told = error_from(error)
    assert type(told) is kind
    assert (told.vendor, told.code) == ("qwen", error.code)


def test_what_comes_too_late_is_harmless() -> None:
    assert is_benign(VendorError("", code="response_cancel_not_active"))
    assert is_benign(VendorError("Cancellation failed: No active response found"))
    assert not is_benign(VendorError("no", code="invalid_value"))


def test_close_codes() -> None:
    assert error_from_close(1000, "") is None
    assert isinstance(error_from_close(1011, "To many requests. Your requests are being throttled"), RateLimited)
    assert isinstance(error_from_close(1011, ""), ProviderUnavailable)
    assert isinstance(error_from_close(1006, ""), ConnectionFailed)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", AuthFailed),
        (404, "<html>", ModelUnavailable),
        (429, "", RateLimited),
        (502, "", ProviderUnavailable),
        (400, '{"code":"Arrearage","message":"pay"}', QuotaExceeded),
        (403, '{"error":{"code":"InvalidApiKey","message":"key sk-abcdefgh is bad"}}', AuthFailed),
    ],
)
def test_statuses_of_the_upgrade(status: int, body: str, kind: type[Exception]) -> None:
    error = error_from_status(status, body)
    assert type(error) is kind
    assert "abcdefgh" not in str(error)


def test_history_is_told_behind_the_instructions() -> None:
    history = [
        HistoryItem(role="user", text="My name is Ann."),
        HistoryItem(role="agent", text="Hello, Ann."),
        HistoryItem(role="tool_call", call_id="c", name="weather", arguments="{}"),
        HistoryItem(role="tool_result", call_id="c", text="rain"),
    ]
    told = instructions_with_history("Be brief.", history)
    assert told.startswith("Be brief.\n\n")
    assert told.index("User: My name is Ann.") < told.index("You: Hello, Ann.") < told.index("rain")
    assert instructions_with_history("Be brief.", []) == "Be brief."
