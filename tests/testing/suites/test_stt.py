"""The suite for speech to text over each of our vendors, by its simulator."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from tests.testing.suites import stt_stages
from trunkline.testing.suites import SpeechToTextSuite, SttTrouble, SttVendor

AT_THE_DOOR = {SttTrouble.REFUSED, SttTrouble.RATE_LIMITED, SttTrouble.WRONG_KEY}
ALL = set(SttTrouble)


class TestNova(SpeechToTextSuite):
    troubles = ALL

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.deepgram(transcripts)


class TestFlux(SpeechToTextSuite):
    troubles = ALL

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.deepgram(transcripts, model="flux", eager_eot_threshold=0.4)


class TestScribe(SpeechToTextSuite):
    troubles = ALL

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.elevenlabs(transcripts, model="scribe")


class TestScribeWithTheVendorsSilence(SpeechToTextSuite):
    troubles = frozenset({SttTrouble.DROP})

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.elevenlabs(transcripts, commit="vad")


class TestScribeOfUtterances(SpeechToTextSuite):
    troubles = AT_THE_DOOR

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.elevenlabs(transcripts, model="scribe_v2")


class TestWhisper(SpeechToTextSuite):
    troubles = AT_THE_DOOR

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.openai_http(transcripts, model="whisper")


class TestOpenAILive(SpeechToTextSuite):
    troubles = ALL - {SttTrouble.RATE_LIMITED}
    tells_partials = False

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        return stt_stages.openai_realtime(transcripts, model="gpt-live-transcribe")


class TestOpenAIWithTheVendorsTurns(SpeechToTextSuite):
    troubles = frozenset({SttTrouble.DROP})
    tells_partials = False

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        turns = {"type": "server_vad", "silence_duration_ms": 500}
        return stt_stages.openai_realtime(transcripts, model="gpt-4o-transcribe", streams=True, turn_detection=turns)
