"""The mixin gives a provider all that the contract asks for besides `connect`."""

from tests.realtime.stream.source import Source, make_provider
from trunkline.realtime import AudioStream, RealtimeProvider
from trunkline.realtime.stream import StreamContract


async def test_provider_and_stream_are_what_the_protocols_say() -> None:
    provider: RealtimeProvider = make_provider()
    source = Source()
    async with provider.process_audio_stream(source) as opened:
        stream: AudioStream = opened
        members = [name for name in vars(AudioStream) if not name.startswith("_")]
        assert {"audio", "transcripts", "session", "error", "stats"} <= set(members)
        assert all(hasattr(type(stream), name) or name in vars(stream) for name in members)
    source.close()


async def test_provider_that_keeps_nothing_closes_any_number_of_times() -> None:
    contract = StreamContract()
    for _ in range(2):
        await contract.aclose()
        await contract.close()
