"""The local voice speaks whatever it is given, and says when each word is heard."""

import sys
from array import array

import anyio
import pytest

from trunkline.errors import InvalidConfig, MissingExtra
from trunkline.tts import LocalSynthesizer, Speech
from trunkline.tts.espeak import Espeak

pytestmark = pytest.mark.anyio


def loudest(speech: Speech) -> int:
    return max(map(abs, array("h", speech.pcm)), default=0)


async def test_every_word_has_its_time() -> None:
    speech = await LocalSynthesizer().synthesize("What is the weather? It is 42 degrees - isn't it.")
    assert [word.text for word in speech.words] == [
        "What",
        "is",
        "the",
        "weather?",
        "It",
        "is",
        "42",
        "degrees",
        "isn't",
        "it.",
    ]
    for word, following in zip(speech.words, speech.words[1:], strict=False):
        assert word.start_ms < word.end_ms <= following.start_ms
    assert speech.sample_rate == 22050
    assert speech.duration_ms - 60 <= speech.words[-1].end_ms <= speech.duration_ms
    assert 3000 < speech.duration_ms < 6000
    assert loudest(speech) > 5000


async def test_words_are_heard_at_their_time() -> None:
    speech = await LocalSynthesizer().synthesize("Hello. Goodbye.")
    hello, goodbye = speech.words
    samples = array("h", speech.pcm)
    pause = samples[goodbye.start_ms * 22 - 3300 : goodbye.start_ms * 22 - 1100]
    assert max(map(abs, pause)) < 300
    assert max(map(abs, samples[goodbye.start_ms * 22 :])) > 5000
    assert hello.start_ms == 0


async def test_a_long_text_is_spoken_to_its_end() -> None:
    sentence = "This is a sentence of a long story."
    speech = await LocalSynthesizer(rate_wpm=300).synthesize(" ".join([sentence] * 60))
    assert [word.text for word in speech.words] == sentence.split() * 60
    starts = [word.start_ms for word in speech.words]
    assert starts == sorted(starts)
    assert speech.words[-1].end_ms <= speech.duration_ms


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00\x01\x02"])
async def test_nothing_to_say_is_no_audio(text: str) -> None:
    assert await LocalSynthesizer().synthesize(text) == Speech(b"", 22050, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("😀", ["😀"]),
        ("\ud800 half a pair", ["half", "a", "pair"]),
        ("zero\x00byte", ["zero", "byte"]),
        ("<speak>loud</speak>", ["<speak>loud</speak>"]),
        ("<", []),
        ("[[h@lo]]", ["[[h@lo]]"]),
        ("x" * 1000, ["x" * 400, "x" * 400, "x" * 200]),
    ],
)
async def test_odd_text_is_harmless(text: str, words: list[str]) -> None:
    speech = await LocalSynthesizer(rate_wpm=450).synthesize(text)
    assert [word.text for word in speech.words] == words
    assert speech.duration_ms < 60_000


async def test_control_characters_give_no_orders() -> None:
    # \x01 followed by "300S" would set the speed
    ordered = await LocalSynthesizer().synthesize("\x01300S This is the text that follows.")
    spoken = await LocalSynthesizer().synthesize("300S This is the text that follows.")
    assert abs(ordered.duration_ms - spoken.duration_ms) < 100


async def test_voices_do_not_disturb_each_other() -> None:
    text = "The quick brown fox jumps over the lazy dog."
    slow, fast = LocalSynthesizer(rate_wpm=100, pitch=30), LocalSynthesizer(voice="en-us+f3", rate_wpm=300, pitch=70)
    alone = {voice: (await voice.synthesize(text)).duration_ms for voice in (slow, fast)}
    together: list[tuple[LocalSynthesizer, int]] = []

    async def speak(voice: LocalSynthesizer) -> None:
        together.append((voice, (await voice.synthesize(text)).duration_ms))

    async with anyio.create_task_group() as tasks:
        for voice in (slow, fast) * 5:
            tasks.start_soon(speak, voice)
    assert alone[slow] > 2 * alone[fast]
    assert len(together) == 10
    for voice, duration_ms in together:
        assert abs(duration_ms - alone[voice]) < 20


async def test_a_cancelled_text_is_not_spoken_to_its_end() -> None:
    with anyio.move_on_after(0.05) as scope:
        await LocalSynthesizer().synthesize("This would take half an hour to say. " * 20_000)
    assert scope.cancelled_caught
    assert (await LocalSynthesizer().synthesize("Hello.")).duration_ms < 2000


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("voice", "nobody"),
        ("voice", ""),
        ("voice", "en\ud800"),
        ("rate_wpm", 79),
        ("rate_wpm", 451),
        ("pitch", -1),
        ("pitch", 101),
    ],
)
def test_options_that_cannot_work_are_refused(option: str, value: object) -> None:
    with pytest.raises(InvalidConfig, match=option):
        LocalSynthesizer(**{option: value})  # type: ignore[arg-type]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtra, match="local speech synthesis needs the extra 'local'"):
        Espeak()
