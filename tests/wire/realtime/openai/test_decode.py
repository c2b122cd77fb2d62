"""Messages of the OpenAI Realtime server, as events."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import RemoteProtocolError
from trunkline.wire.realtime.openai import events as vendor
from trunkline.wire.realtime.openai.decode import parse
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU, SessionInfo
from trunkline.wire.realtime.usage import Usage

SESSION = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "expires_at": 1785217650,
    "audio": {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": {"type": "server_vad"}},
        "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy"},
    },
}
IDS = {"event_id": "event_1", "response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
CALL = {
    "id": "item_3",
    "type": "function_call",
    "status": "completed",
    "name": "f",
    "call_id": "call_1",
    "arguments": "{}",
}

EVENTS: list[tuple[dict[str, Any], vendor.ServerEvent]] = [
    (
        {"type": "session.created", "session": SESSION},
        vendor.SessionCreated(SessionInfo("sess_1", "gpt-realtime", PCM, PCMU, True, 1785217650)),
    ),
    (
        {"type": "session.updated", "session": {**SESSION, "audio": {"input": {"turn_detection": None}}}},
        vendor.SessionUpdated(
            SessionInfo("sess_1", "gpt-realtime", PCM, PCM, False, 1785217650, detects_turns=False, answers_turns=False)
        ),
    ),
    (
        {
            "type": "error",
            "event_id": "event_9",
            "error": {
                "type": "invalid_request_error",
                "code": None,
                "message": "no",
                "param": "a.b",
                "event_id": "c-1",
            },
        },
        vendor.ErrorReceived(vendor.VendorError("no", "", "invalid_request_error", "a.b", "c-1", "event_9")),
    ),
    (
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 1460, "item_id": "item_U"},
        vendor.SpeechStarted("item_U", 1460),
    ),
    (
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 4256, "item_id": "item_U"},
        vendor.SpeechStopped("item_U", 4256),
    ),
    (
        {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "item_U"},
        vendor.InputCommitted("item_U"),
    ),
    (
        {"type": "input_audio_buffer.committed", "previous_item_id": "item_A", "item_id": "item_U"},
        vendor.InputCommitted("item_U"),
    ),
    ({"type": "input_audio_buffer.cleared"}, vendor.InputCleared()),
    (
        {
            "type": "input_audio_buffer.timeout_triggered",
            "audio_start_ms": 13216,
            "audio_end_ms": 19232,
            "item_id": "i",
        },
        vendor.UnknownEvent("input_audio_buffer.timeout_triggered"),
    ),
    (
        {
            "type": "conversation.item.input_audio_transcription.delta",
            "item_id": "i",
            "content_index": 0,
            "delta": "wha",
        },
        vendor.InputTranscript("i", "wha", False),
    ),
    (
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "i",
            "content_index": 0,
            "transcript": "what",
        },
        vendor.InputTranscript("i", "what", True),
    ),
    (
        {
            "type": "conversation.item.input_audio_transcription.failed",
            "item_id": "i",
            "error": {"code": "c", "message": "m"},
        },
        vendor.InputTranscriptFailed("i", vendor.VendorError("m", "c")),
    ),
    (
        {"type": "conversation.item.added", "item": {"id": "i", "type": "message", "role": "user", "content": []}},
        vendor.ItemAdded(vendor.Item("i", "message", "user")),
    ),
    (
        {"type": "conversation.item.done", "item": CALL},
        vendor.UnknownEvent("conversation.item.done"),
    ),
    (
        {"type": "conversation.item.truncated", "item_id": "i", "content_index": 0, "audio_end_ms": 840},
        vendor.UnknownEvent("conversation.item.truncated"),
    ),
    ({"type": "conversation.item.deleted", "item_id": "i"}, vendor.UnknownEvent("conversation.item.deleted")),
    (
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        vendor.ResponseCreated("resp_1"),
    ),
    (
        {"type": "response.output_item.added", **IDS, "item": {"id": "i", "type": "message", "role": "assistant"}},
        vendor.OutputItemAdded("resp_1", vendor.Item("i", "message", "assistant")),
    ),
    (
        {"type": "response.output_item.done", **IDS, "item": CALL},
        vendor.OutputItemDone("resp_1", vendor.Item("item_3", "function_call", "", "completed", "call_1", "f", "{}")),
    ),
    (
        {"type": "response.output_audio.delta", **IDS, "delta": base64.b64encode(b"\x01\x02\x03").decode()},
        vendor.AudioDelta("resp_1", "item_1", 0, b"\x01\x02\x03"),
    ),
    ({"type": "response.output_audio.done", **IDS}, vendor.UnknownEvent("response.output_audio.done")),
    (
        {"type": "response.output_audio_transcript.delta", **IDS, "delta": "Hel", "obfuscation": "k3"},
        vendor.OutputText("resp_1", "item_1", 0, "Hel", False),
    ),
    (
        {"type": "response.output_audio_transcript.done", **IDS, "transcript": "Hello"},
        vendor.OutputText("resp_1", "item_1", 0, "Hello", True),
    ),
    (
        {"type": "response.output_text.delta", **IDS, "delta": "Hel"},
        vendor.OutputText("resp_1", "item_1", 0, "Hel", False),
    ),
    (
        {"type": "response.output_text.done", **IDS, "text": "Hello"},
        vendor.OutputText("resp_1", "item_1", 0, "Hello", True),
    ),
    (
        {"type": "response.function_call_arguments.delta", **IDS, "call_id": "call_1", "delta": "{"},
        vendor.ArgumentsDelta("item_1", "{"),
    ),
    (
        {"type": "response.function_call_arguments.done", **IDS, "call_id": "call_1", "name": "f", "arguments": "{\n}"},
        vendor.ArgumentsDone("resp_1", "item_1", "call_1", "f", "{\n}"),
    ),
    (
        {"type": "response.function_call_arguments.done", **IDS, "call_id": "call_1", "arguments": "{}"},
        vendor.ArgumentsDone("resp_1", "item_1", "call_1", "", "{}"),
    ),
    ({"type": "rate_limits.updated", "rate_limits": []}, vendor.UnknownEvent("rate_limits.updated")),
    ({"type": "ping", "timestamp": 1}, vendor.UnknownEvent("ping")),
]


@pytest.mark.parametrize(("message", "event"), EVENTS, ids=[message["type"] for message, _ in EVENTS])
def test_each_message_becomes_its_event(message: dict[str, Any], event: vendor.ServerEvent) -> None:
    assert parse(json.dumps(message)) == event
    assert parse(json.dumps(message).encode()) == event


@pytest.mark.parametrize(
    ("details", "reason", "error"),
    [
        (None, "", None),
        ("completed", "completed", None),
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected", None),
        (
            {"type": "failed", "error": {"type": "server_error", "code": "server_error", "message": "oh"}},
            "",
            vendor.VendorError("oh", "server_error", "server_error"),
        ),
    ],
)
def test_status_details_may_be_an_object_a_text_or_null(
    details: Any, reason: str, error: vendor.VendorError | None
) -> None:
    usage = {"total_tokens": 205, "input_tokens": 41, "output_tokens": 164}
    response = {"id": "r", "status": "completed", "status_details": details, "output": [CALL], "usage": usage}
    event = parse(json.dumps({"type": "response.done", "response": response}))
    assert event == vendor.ResponseDone(
        "r",
        "completed",
        reason,
        error,
        (vendor.Item("item_3", "function_call", "", "completed", "call_1", "f", "{}"),),
        Usage(41, 164, 205),
    )


def test_usage_is_told_by_kind() -> None:
    usage = {
        "total_tokens": 205,
        "input_tokens": 41,
        "output_tokens": 164,
        "input_token_details": {
            "text_tokens": 14,
            "audio_tokens": 27,
            "image_tokens": 0,
            "cached_tokens": 12,
            "cached_tokens_details": {"text_tokens": 8, "audio_tokens": 4, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 28, "audio_tokens": 136, "reasoning_tokens": 5},
    }
    event = parse(json.dumps({"type": "response.done", "response": {"id": "r", "status": "completed", "usage": usage}}))
    assert isinstance(event, vendor.ResponseDone)
    assert event.usage == Usage(41, 164, 205, 14, 27, 12, 8, 4, 28, 136, 5)


@pytest.mark.parametrize(
    ("older", "present"),
    [
        ("conversation.item.created", "conversation.item.added"),
        ("response.audio.delta", "response.output_audio.delta"),
        ("response.audio_transcript.delta", "response.output_audio_transcript.delta"),
        ("response.audio_transcript.done", "response.output_audio_transcript.done"),
        ("response.text.delta", "response.output_text.delta"),
        ("response.text.done", "response.output_text.done"),
    ],
)
def test_the_older_names_mean_the_same(older: str, present: str) -> None:
    message, event = next(pair for pair in EVENTS if pair[0]["type"] == present)
    assert parse(json.dumps({**message, "type": older})) == event


NOTHING = SessionInfo("", "", PCM, PCM, False, None, detects_turns=False, answers_turns=False)
BETA_SESSION = {
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-4o-realtime-preview-2024-12-17",
    "modalities": ["audio", "text"],
    "instructions": "Be brief.",
    "voice": "alloy",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "turn_detection": {"type": "server_vad", "interrupt_response": False},
    "expires_at": 1756324625,
}


@pytest.mark.parametrize(
    ("session", "info"),
    [
        (
            BETA_SESSION,
            SessionInfo(
                "sess_1",
                "gpt-4o-realtime-preview-2024-12-17",
                PCMU,
                PCMA,
                False,
                1756324625,
                instructions="Be brief.",
                is_flat=True,
            ),
        ),
        # xAI: the present names with a partly flat session.
        (
            {"type": "realtime", "modalities": ["audio"], "turn_detection": {"type": "server_vad"}},
            SessionInfo("", "", PCM, PCM, True),
        ),
        (
            {"modalities": ["text"], "turn_detection": None},
            SessionInfo("", "", PCM, PCM, False, None, detects_turns=False, answers_turns=False, is_flat=True),
        ),
        ({"modalities": ["text"], "audio": {"input": {}}}, NOTHING),
        ({}, NOTHING),
        ({"audio": 1, "id": None, "expires_at": "soon", "turn_detection": "on"}, NOTHING),
        ({"audio": {"input": {"format": {"rate": [1]}}, "output": {"format": "pcm"}}}, NOTHING),
        (
            {"id": 7, "audio": {"input": {"turn_detection": {"create_response": False, "interrupt_response": "no"}}}},
            SessionInfo("7", "", PCM, PCM, True, answers_turns=False),
        ),
    ],
    ids=["beta", "partly flat", "manual", "both", "empty", "odd members", "odd formats", "odd turn detection"],
)
def test_the_session_of_either_dialect(session: dict[str, Any], info: SessionInfo) -> None:
    assert parse(json.dumps({"type": "session.updated", "session": session})) == vendor.SessionUpdated(info)


def test_a_flat_format_that_is_not_known() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(json.dumps({"type": "session.created", "session": {"output_audio_format": "opus"}}))
    assert caught.value.path == "session.output_audio_format"


def test_numbers_may_be_written_with_a_point() -> None:
    event = parse('{"type": "input_audio_buffer.speech_started", "audio_start_ms": 1460.0}')
    assert event == vendor.SpeechStarted("", 1460)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 160, 9600])
def test_audio_is_what_was_sent(size: int) -> None:
    audio = bytes(range(256)) * 38
    delta = base64.b64encode(audio[:size]).decode()
    event = parse(json.dumps({"type": "response.output_audio.delta", "delta": delta}))
    assert event == vendor.AudioDelta("", "", 0, audio[:size])


def test_refused_audio_is_not_repeated_in_the_error() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse('{"type": "response.output_audio.delta", "delta": "AAAA$$$$AAAA"}')
    assert "$" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_interim_transcript_under_the_final_name_is_no_transcript() -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    assert parse(json.dumps({"type": kind, "status": "in_progress", "transcript": "wh"})) == vendor.UnknownEvent(kind)


def test_a_law_is_read_from_the_echo() -> None:
    session = {"audio": {"input": {"format": {"type": "audio/pcma"}}}}
    event = parse(json.dumps({"type": "session.updated", "session": session}))
    assert isinstance(event, vendor.SessionUpdated)
    assert event.session.input_format == PCMA


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("nonsense", ""),
        (b"\xff\xfe", ""),
        ("[1, 2]", ""),
        ("{}", "type"),
        ('{"type": 7}', "type"),
        ('{"type": "response.output_audio.delta"}', "delta"),
        ('{"type": "response.output_audio.delta", "delta": "A$=="}', "delta"),
        ('{"type": "response.output_audio.delta", "delta": "é"}', "delta"),
        ('{"type": "response.output_text.delta", "delta": ["x"]}', "delta"),
        ('{"type": "response.output_audio_transcript.done", "transcript": null}', "transcript"),
        ('{"type": "session.updated", "session": "x"}', "session"),
        (
            '{"type": "session.created", "session": {"audio": {"input": {"format": {"type": "audio/opus"}}}}}',
            "session.audio.input.format.type",
        ),
        (
            '{"type": "session.created", "session": {"audio": {"output": {"format": {"rate": 12345}}}}}',
            "session.audio.output.format.rate",
        ),
    ],
)
def test_what_cannot_be_read_is_the_vendors_fault_and_says_where(message: str | bytes, path: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(message)
    assert caught.value.vendor == "openai"
    assert caught.value.path == path


DONE = vendor.ResponseDone("r", "completed")
FAILED = vendor.ResponseDone("r", "failed", error=vendor.VendorError("oh", "429"))
ODD_ENDS: list[tuple[Any, vendor.ResponseDone]] = [
    ({"id": "r"}, DONE),
    ({"id": "r", "status": None, "usage": [], "output": "nothing", "status_details": 7}, DONE),
    ({"id": "r", "status": ["completed"], "output": [1, None, {}]}, replace(DONE, output=(vendor.Item("", ""),))),
    (
        {"id": "r", "status": "completed", "usage": {"input_tokens": "x", "output_tokens": "3"}},
        replace(DONE, usage=Usage(0, 3)),
    ),
    (
        {"id": "r", "status": "failed", "status_details": {"error": "oh"}},
        replace(FAILED, error=vendor.VendorError("oh")),
    ),
    ({"id": "r", "status_details": {"error": {"message": "oh", "code": 429, "type": {}}}}, FAILED),
    ({"id": 7, "status": "completed"}, replace(DONE, response_id="7")),
    (None, replace(DONE, response_id="")),
    ([], replace(DONE, response_id="")),
]


@pytest.mark.parametrize(("response", "event"), ODD_ENDS)
def test_the_end_of_a_response_ends_it_whatever_stands_in_it(response: Any, event: vendor.ResponseDone) -> None:
    assert parse(json.dumps({"type": "response.done", "response": response})) == event


CALLED = vendor.OutputItemDone("", vendor.Item("i", "function_call", "", "completed", "", "f", '{"x":1}'))
ODD: list[tuple[str, vendor.ServerEvent]] = [
    ('{"type": "error"}', vendor.ErrorReceived(vendor.VendorError(""))),
    ('{"type": "error", "error": "no"}', vendor.ErrorReceived(vendor.VendorError("no"))),
    ('{"type": "error", "message": "no", "code": 5}', vendor.ErrorReceived(vendor.VendorError("no", "5"))),
    ('{"type": "error", "error": {"message": "no", "code": 500, "param": []}}', vendor.ErrorReceived(vendor.VendorError("no", "500"))),
    ('{"type": "session.created", "session": null}', vendor.SessionCreated(NOTHING)),
    ('{"type": "response.created", "response": []}', vendor.ResponseCreated("")),
    ('{"type": "response.output_audio.delta", "delta": "AAAA", "item_id": 7, "content_index": "1"}',
     vendor.AudioDelta("", "7", 0, bytes(3))),
    ('{"type": "response.output_audio.delta", "delta": "AAAA", "content_index": 2}', vendor.AudioDelta("", "", 2, bytes(3))),
    ('{"type": "response.output_text.delta", "delta": 12}', vendor.OutputText("", "", 0, "12", False)),
    ('{"type": "response.output_text.delta", "delta": "a\\ud83d"}', vendor.OutputText("", "", 0, "a\ufffd", False)),
    ('{"type": "response.output_text.done", "text": "\\udc00\\ud83d\\ude00"}', vendor.OutputText("", "", 0, "\ufffd\U0001f600", True)),
    (json.dumps({"type": "response.output_item.done", "item": {**CALL, "id": "i", "call_id": None, "arguments": {"x": 1}}}), CALLED),
    ('{"type": "conversation.item.added", "item": 5}', vendor.ItemAdded(vendor.Item("", ""))),
    ('{"type": "input_audio_buffer.speech_started", "audio_start_ms": "1", "item_id": []}', vendor.SpeechStarted("", 1)),
    ('{"type": "input_audio_buffer.speech_started", "audio_start_ms": 0.5}', vendor.SpeechStarted("", 0)),
    ('{"type": "input_audio_buffer.speech_stopped", "audio_end_ms": {}}', vendor.SpeechStopped("")),
]  # fmt: skip


@pytest.mark.parametrize(("message", "event"), ODD)
def test_an_odd_member_does_not_cost_its_event(message: str, event: vendor.ServerEvent) -> None:
    assert parse(message) == event


def test_bytes_that_are_no_unicode_are_replaced_where_they_stand() -> None:
    event = parse(b'{"type": "response.output_text.delta", "delta": "caf\xe9"}')
    assert event == vendor.OutputText("", "", 0, "caf\ufffd", False)


KINDS = st.sampled_from(sorted({message["type"] for message, _ in EVENTS} | {"response.done"}))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "id",
                    "audio",
                    "input",
                    "format",
                    "rate",
                    "status",
                    "output",
                    "usage",
                    "error",
                    "turn_detection",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    ["session", "error", "item", "response", "delta", "item_id", "transcript", "arguments", "text"]
)


@given(st.text() | st.binary())
def test_garbage_is_refused_in_one_way(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(message)


@given(KINDS, st.dictionaries(MEMBERS, JSON))
def test_right_types_with_wrong_members_raise_nothing_else(kind: str, members: dict[str, Any]) -> None:
    try:
        event = parse(json.dumps({**members, "type": kind}))
    except RemoteProtocolError:
        return
    assert type(event).__name__ in vendor.__dict__


@pytest.mark.parametrize("position", range(0, 120, 7))
def test_a_cut_message_is_refused(position: int) -> None:
    message = json.dumps({"type": "response.output_audio.delta", **IDS, "delta": "AAAA"})
    with pytest.raises(RemoteProtocolError):
        parse(message[:position])
