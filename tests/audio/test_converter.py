"""The converter: any chunking, exact lengths, every kind of buffer, and what it refuses."""

import array
import base64
import ctypes
import itertools
import math
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.audio import (
    GEMINI_INPUT,
    GEMINI_OUTPUT,
    OPENAI,
    SAMPLE_RATES,
    TWILIO,
    AudioConverter,
    AudioFormat,
    Converter,
    StreamConverter,
    convert,
    gemini_to_twilio,
    openai_to_twilio,
    twilio_to_gemini,
    twilio_to_openai,
)
from trunkline.errors import AudioError, InvalidAudioData

formats = st.builds(
    AudioFormat,
    encoding=st.sampled_from(["linear16", "mulaw", "alaw"]),
    sample_rate=st.sampled_from(SAMPLE_RATES),
    channels=st.sampled_from([1, 2]),
)


def streamed(chunks: list[bytes], from_: AudioFormat, to: AudioFormat) -> bytes:
    stream = StreamConverter(from_, to)
    return b"".join([*(stream.convert(chunk) for chunk in chunks), stream.flush()])


@settings(max_examples=60, deadline=None)
@given(from_=formats, to=formats, audio=st.binary(max_size=600), cuts=st.lists(st.integers(0, 600), max_size=6))
def test_any_chunking_gives_the_same_bytes(from_: AudioFormat, to: AudioFormat, audio: bytes, cuts: list[int]) -> None:
    audio = audio[: len(audio) - len(audio) % from_.sample_bytes]
    whole = convert(audio, from_, to)
    assert (
        len(whole) == math.ceil(len(audio) // from_.sample_bytes * to.sample_rate / from_.sample_rate) * to.sample_bytes
    )
    bounds = [0, *sorted(min(cut, len(audio)) for cut in cuts), len(audio)]
    assert streamed([audio[a:b] for a, b in itertools.pairwise(bounds)], from_, to) == whole
    assert streamed([audio[n : n + 1] for n in range(len(audio))], from_, to) == whole


@pytest.mark.parametrize(
    ("from_", "to"), [(TWILIO, OPENAI), (OPENAI, TWILIO), (TWILIO, GEMINI_INPUT), (GEMINI_INPUT, TWILIO)]
)
def test_a_call_stays_in_step(from_: AudioFormat, to: AudioFormat) -> None:
    stream = StreamConverter(from_, to)
    frame = from_.silence(20)
    first, *later = [len(stream.convert(frame)) for _ in range(500)]
    assert set(later) == {to.frame_bytes()}
    late = to.frame_bytes() - first  # what the first frame lacks is the delay, in whole samples
    assert abs(to.duration_ms(late) - stream.delay_ms) <= 1000 / 8000
    assert len(stream.flush()) == late
    assert len(stream.convert(frame)) == first  # as new


def test_names_for_the_usual_pairs() -> None:
    mulaw, pcm = np.arange(160, dtype=np.uint8).tobytes(), np.arange(480, dtype="<i2").tobytes()
    assert twilio_to_openai(mulaw) == convert(mulaw, TWILIO, OPENAI) == Converter().convert(mulaw, TWILIO, OPENAI)
    assert openai_to_twilio(pcm) == convert(pcm, OPENAI, TWILIO)
    assert twilio_to_gemini(mulaw) == convert(mulaw, TWILIO, GEMINI_INPUT)
    assert gemini_to_twilio(pcm) == convert(pcm, GEMINI_OUTPUT, TWILIO)
    replaceable: AudioConverter = Converter()
    assert replaceable.convert(mulaw, TWILIO, TWILIO) is mulaw


def test_equal_formats_return_what_they_are_given() -> None:
    stream = StreamConverter(OPENAI, GEMINI_OUTPUT)
    odd = b"\x01\x02\x03"
    assert stream.convert(odd) is odd
    assert convert(odd, OPENAI, OPENAI) is odd
    assert stream.convert(bytearray(odd)) == odd
    assert (stream.flush(), stream.delay_ms) == (b"", 0.0)


def test_silence_stays_silence() -> None:
    for from_ in (TWILIO, OPENAI, AudioFormat("mulaw", 8000, 2), AudioFormat("linear16", 44100)):
        assert convert(from_.silence(100), from_, TWILIO) == TWILIO.silence(100)


def test_a_reset_forgets() -> None:
    stream = StreamConverter(OPENAI, TWILIO)
    audio = np.arange(-2400, 2400, dtype="<i2").tobytes()
    expected = convert(audio, OPENAI, TWILIO)
    stream.convert(audio[:801])
    stream.reset()
    assert stream.convert(audio) + stream.flush() == expected


def test_half_a_sample_is_carried_in_a_stream_and_refused_in_a_whole() -> None:
    stream = StreamConverter(AudioFormat("linear16", 8000), TWILIO)
    assert [stream.convert(b"\x00"), stream.convert(b"\x00\x00"), stream.convert(b"\x00")] == [b"", b"\xff", b"\xff"]
    with pytest.raises(InvalidAudioData, match="3 bytes"):
        convert(b"\x00\x00\x00", OPENAI, TWILIO)
    with pytest.raises(InvalidAudioData, match="6 bytes"):
        convert(bytes(6), AudioFormat("linear16", 24000, 2), TWILIO)
    assert convert(b"", OPENAI, TWILIO) == b""


def test_channels_are_doubled_and_mixed_around_the_resampler() -> None:
    rng = np.random.default_rng(4)
    left = rng.integers(-8000, 8000, 960).astype("<i2")
    mono, stereo = AudioFormat("linear16", 24000), AudioFormat("linear16", 8000, 2)
    doubled = np.frombuffer(convert(left.tobytes(), mono, stereo), "<i2").reshape(-1, 2)
    assert np.array_equal(doubled[:, 0], doubled[:, 1])
    assert doubled[:, 0].tobytes() == convert(left.tobytes(), mono, AudioFormat("linear16", 8000))
    right = rng.integers(-8000, 8000, 960).astype("<i2")
    both = convert(np.stack([left, right], axis=1).tobytes(), AudioFormat("linear16", 24000, 2), stereo)
    split = np.frombuffer(both, "<i2").reshape(-1, 2)
    for channel, alone in ((0, left), (1, right)):
        assert split[:, channel].tobytes() == convert(alone.tobytes(), mono, AudioFormat("linear16", 8000))


def test_every_kind_of_buffer() -> None:
    samples = np.arange(-480, 480, 2, dtype=np.int16)
    pcm = samples.tobytes()
    expected = convert(pcm, OPENAI, TWILIO)
    unaligned = bytearray(b"\0" + pcm)
    for same in (
        bytearray(pcm),
        memoryview(pcm),
        memoryview(unaligned)[1:],
        samples,
        samples.view(np.uint8),
        samples.reshape(-1, 2),
        array.array("h", samples.tolist()),
        samples.data,
        (ctypes.c_int16 * 480)(*samples.tolist()),
    ):
        assert convert(same, OPENAI, TWILIO) == expected
        stream = StreamConverter(OPENAI, TWILIO)
        assert stream.convert(same) + stream.flush() == expected
        assert convert(same, OPENAI, OPENAI) == pcm
    assert len(convert(np.zeros(160, np.uint8), TWILIO, OPENAI)) == 960


def test_what_is_not_audio_is_refused() -> None:
    samples = np.zeros(480, dtype=np.int16)
    stream = StreamConverter(OPENAI, TWILIO)
    for wrong, why in (
        (samples[::2], "strides"),
        (samples.astype(">i2"), ">h"),
        (samples.astype(np.float32), '"f"'),
        (samples.astype(np.int32), "format"),
        (memoryview(bytes(960))[::-1], "strides"),
    ):
        for refuse in (
            lambda audio: convert(audio, OPENAI, TWILIO),
            stream.convert,
            lambda audio: convert(audio, OPENAI, OPENAI),
        ):
            with pytest.raises(InvalidAudioData, match=why):
                refuse(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidAudioData, match="must be bytes, got"):
        convert(samples, TWILIO, OPENAI)  # 16-bit samples are not µ-law
    with pytest.raises(TypeError):
        convert("text", OPENAI, TWILIO)  # type: ignore[call-overload]


@settings(max_examples=60, deadline=None)
@given(from_=formats, to=formats, audio=st.binary(max_size=600), cut=st.integers(0, 600))
def test_the_length_is_told_before_and_the_callers_memory_is_filled(
    from_: AudioFormat, to: AudioFormat, audio: bytes, cut: int
) -> None:
    plain, into = StreamConverter(from_, to), StreamConverter(from_, to)
    for chunk in (audio[:cut], audio[cut:]):
        expected, needed = plain.convert(chunk), into.output_len(len(chunk))
        out = bytearray(b"\xee" * (needed + 2))
        if needed:
            with pytest.raises(InvalidAudioData, match=f"needs {needed} bytes, got {needed - 1}"):
                into.convert(chunk, out=memoryview(out)[1:needed])
        assert into.convert(chunk, out=memoryview(out)[1:]) == needed == len(expected)
        assert out == b"\xee" + expected + b"\xee"
    rest = bytearray(2000)
    assert rest[: into.flush(out=rest)] == plain.flush()


def test_the_callers_memory_may_be_an_array() -> None:
    pcm = np.arange(-480, 480, 2, dtype=np.int16)
    stream = StreamConverter(OPENAI, GEMINI_INPUT)
    out = np.zeros((200, 2), dtype=np.int16)
    written = stream.convert(pcm, out=out)
    assert out.tobytes()[:written] == StreamConverter(OPENAI, GEMINI_INPUT).convert(pcm)
    assert not out.tobytes()[written:].strip(b"\0")
    same = StreamConverter(OPENAI, OPENAI)
    assert same.convert(pcm, out=(copy := np.zeros_like(pcm))) == 960
    assert np.array_equal(copy, pcm)
    for wrong, why in (
        (bytes(960), "written"),
        (out[::2], "strides"),
        (out.astype(">i2"), ">h"),
        (out.astype(np.float32), '"f"'),
    ):
        with pytest.raises(InvalidAudioData, match=why):
            same.convert(b"", out=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidAudioData, match="must be bytes, got"):
        StreamConverter(OPENAI, TWILIO).convert(pcm, out=out)  # µ-law is no 16-bit integer


@settings(max_examples=60, deadline=None)
@given(from_=formats, to=formats, audio=st.binary(max_size=600), cut=st.integers(0, 600))
def test_the_text_of_a_wire_message_is_converted_as_its_bytes(
    from_: AudioFormat, to: AudioFormat, audio: bytes, cut: int
) -> None:
    plain, wire = StreamConverter(from_, to), StreamConverter(from_, to)
    for chunk in (audio[:cut], audio[cut:]):
        text = base64.b64encode(chunk)
        expected = base64.b64encode(plain.convert(chunk)).decode()
        assert wire.convert_base64(text.decode() if cut % 2 else text) == expected
    assert wire.flush() == plain.flush()


def test_text_between_equal_formats_is_returned_as_it_came() -> None:
    text = base64.b64encode(bytes(range(160))).decode()
    stream = StreamConverter(TWILIO, TWILIO)
    assert stream.convert_base64(text) is text
    with pytest.raises(InvalidAudioData, match="character 2"):
        stream.convert_base64("//!/")


@pytest.mark.parametrize(
    "text", ["/", "//", "//8", "//9=", "//8=//8=", "__8=", "//8=\n", "//é=", "\ud800", "=", "===="]
)
def test_wrong_base64_is_refused_and_changes_nothing(text: str) -> None:
    stream = StreamConverter(TWILIO, OPENAI)
    first = stream.convert(b"\x80" * 100)
    with pytest.raises(InvalidAudioData, match="base64"):
        stream.convert_base64(text)
    whole = convert(b"\x80" * 200, TWILIO, OPENAI)
    assert first + stream.convert(b"\x80" * 100) + stream.flush() == whole
    with pytest.raises(TypeError):
        stream.convert_base64(bytearray(b"//8="))  # type: ignore[arg-type]


def test_the_core_refuses_a_format_that_was_never_checked() -> None:
    class Forged:
        encoding = "linear16"
        sample_rate = 8000
        channels = 6

    with pytest.raises(AudioError, match="6"):
        StreamConverter(Forged(), TWILIO)


def test_a_converter_tells_what_it_does() -> None:
    stream = StreamConverter(TWILIO, OPENAI)
    assert (stream.from_, stream.to) == (TWILIO, OPENAI)
    assert repr(stream) == f"StreamConverter({TWILIO!r}, {OPENAI!r})"


def test_a_stream_shared_by_threads_raises() -> None:
    audio = bytes(4_000_000)
    stream = StreamConverter(TWILIO, OPENAI)
    refused = 0
    for _ in range(20):  # a busy machine may let the worker finish before it lets this thread go on
        worker = threading.Thread(target=stream.convert, args=(audio,))
        worker.start()
        while worker.is_alive():
            try:
                stream.reset()
            except RuntimeError:
                refused += 1
        worker.join()
        if refused:
            break
    assert refused > 0


def test_audio_comes_without_numpy() -> None:
    code = "import sys, trunkline.audio, trunkline.audio.wav; sys.exit('numpy' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_whole_piece_goes_into_the_callers_memory() -> None:
    mulaw = bytes(range(160))
    memory = np.zeros(500, np.int16)
    written = convert(mulaw, TWILIO, OPENAI, out=memory)
    assert written == 960
    assert memory.tobytes()[:960] == convert(mulaw, TWILIO, OPENAI)
    assert not memory[480:].any()
    for wrong in (bytearray(959), bytes(960), np.zeros(960, np.int16)[::2]):
        with pytest.raises(InvalidAudioData, match="out"):
            convert(mulaw, TWILIO, OPENAI, out=wrong)
