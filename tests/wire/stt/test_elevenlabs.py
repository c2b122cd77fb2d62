"""ElevenLabs Scribe's messages."""

import json
from base64 import b64decode

import pytest

from trunkline.audio import TWILIO
from trunkline.errors import AuthFailed, ProviderError, ProviderUnavailable, QuotaExceeded, RateLimited, RequestRejected
from trunkline.wire.stt.elevenlabs import ScribeCodec, realtime_query, transcription
from trunkline.wire.stt.events import ErrorReported, Transcript


def test_partials_replace_each_other_until_the_commit() -> None:
    codec = ScribeCodec(TWILIO)
    (first,) = codec.receive('{"message_type":"partial_transcript","text":"hello the"}')
    assert isinstance(first, Transcript)
    assert (first.text, first.is_final, first.stable) == ("hello the", False, 0)
    (final,) = codec.receive('{"message_type":"committed_transcript","text":"Hello there."}')
    assert isinstance(final, Transcript)
    assert (final.text, final.is_final) == ("Hello there.", True)
    twice = '{"message_type":"committed_transcript_with_timestamps","text":"Hello there.","words":[]}'
    assert codec.receive(twice) == ()


def test_a_commit_with_too_little_audio_is_filled_with_silence() -> None:
    codec = ScribeCodec(TWILIO)
    codec.audio(bytes(800))
    codec.receive('{"message_type":"partial_transcript","text":"yes"}')
    filled, commit = (json.loads(message) for message in codec.finalize())
    assert len(b64decode(filled["audio_base_64"])) >= 8 * 200
    assert commit == {"message_type": "input_audio_chunk", "audio_base_64": "", "commit": True, "sample_rate": 8000}
    assert codec.owes_final


def test_nothing_is_committed_where_nothing_was_said() -> None:
    codec = ScribeCodec(TWILIO)
    codec.audio(bytes(800))
    assert list(codec.finalize()) == []
    assert not codec.owes_final


def test_the_commit_of_flushed_words_is_not_told() -> None:
    codec = ScribeCodec(TWILIO)
    codec.audio(bytes(8000))
    codec.receive('{"message_type":"partial_transcript","text":"hello"}')
    codec.finalize()
    assert [event.text for event in codec.flush() if isinstance(event, Transcript)] == ["hello"]
    assert codec.receive('{"message_type":"committed_transcript","text":"Hello."}') == ()
    (next_one,) = codec.receive('{"message_type":"committed_transcript","text":"Next."}')
    assert isinstance(next_one, Transcript)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("auth_error", AuthFailed),
        ("quota_exceeded", QuotaExceeded),
        ("commit_throttled", RateLimited),
        ("invalid_request", RequestRejected),
        ("session_time_limit_exceeded", ProviderUnavailable),
        ("a_new_error", ProviderUnavailable),
    ],
)
def test_errors_have_their_class(kind: str, error: type[ProviderError]) -> None:
    (event,) = ScribeCodec(TWILIO).receive(json.dumps({"message_type": kind, "error": "because"}))
    assert isinstance(event, ErrorReported)
    assert event.fatal
    assert type(event.error) is error
    assert str(event.error) == f"[{kind}] because"


def test_the_address_repeats_lists_and_leaves_out_what_is_not_set() -> None:
    query = realtime_query({"model_id": "m", "language_code": None, "keyterms": ("a b", "c")}, TWILIO)
    assert query == "model_id=m&keyterms=a+b&keyterms=c&audio_format=ulaw_8000"


def test_a_whole_utterance_has_the_mean_of_its_words() -> None:
    words = [{"text": "Hi", "type": "word", "logprob": 0.0}, {"text": " ", "type": "spacing", "logprob": -9}]
    text, confidence, language = transcription(json.dumps({"text": " Hi ", "language_code": "eng", "words": words}))
    assert (text, confidence, language) == ("Hi", 1.0, "eng")
