"""The messages with audio of the vendors whose protocols are known, as shapes and templates, and examples of both kinds of message."""

from base64 import b64encode
from dataclasses import dataclass, field

from trunkline.wire.media import Anything, Counter, Expected, MediaShape, MediaTemplate

AUDIO = bytes(range(160))
PAYLOAD = b64encode(AUDIO).decode()


@dataclass(frozen=True, slots=True)
class Vendor:
    """A shape, messages that fit it, and messages that nearly do and are for the codec."""

    shape: MediaShape
    media: list[str | bytes]
    others: list[str | bytes] = field(default_factory=list)
    template: MediaTemplate | None = None
    written: str | bytes = ""


def inbound(events: str, stream: str, *, counter: Counter, order: Counter | None = None) -> MediaShape:
    """A carrier's JSON, whose members differ by name and little else."""
    return MediaShape(
        audio="media.payload",
        expected=(
            Expected("event", "media"),
            Expected(stream, events),
            Expected("media.track", "inbound"),
            Expected("media.timestamp", Anything.DIGITS),
        ),
        counter=counter,
        order=order,
        max_audio_bytes=16_000,
    )


def twilio(change: tuple[str, str] = ("", "")) -> str:
    media = f'{{"track":"inbound","chunk":"1","timestamp":"5","payload":"{PAYLOAD}"}}'
    return f'{{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{media}}}'.replace(*change, 1)


def telnyx(change: tuple[str, str] = ("", "")) -> str:
    media = f'{{"track":"inbound","chunk":"2","timestamp":"5","payload":"{PAYLOAD}"}}'
    return f'{{"event":"media","sequence_number":"4","stream_id":"u","media":{media}}}'.replace(*change, 1)


def plivo(change: tuple[str, str] = ("", "")) -> str:
    media = f'{{"track":"inbound","timestamp":"1785578400123","chunk":1,"payload":"{PAYLOAD}"}}'
    message = f'{{"event":"media","sequenceNumber":2,"streamId":"u","media":{media},"extra_headers":"a=\\"1\\""}}'
    return message.replace(*change, 1)


def delta(kind: str, change: tuple[str, str] = ("", "")) -> str:
    ids = '"event_id":"e","response_id":"r","item_id":"i","output_index":0,"content_index":0'
    return f'{{"type":"{kind}",{ids},"delta":"{PAYLOAD}"}}'.replace(*change, 1)


def gemini(change: tuple[str, str] = ("", "")) -> bytes:
    part = f'{{"inlineData":{{"mimeType":"audio/pcm;rate=24000","data":"{PAYLOAD}"}}}}'
    return f'{{"serverContent":{{"modelTurn":{{"parts":[{part}]}}}}}}'.replace(*change, 1).encode()


def openai(kind: str) -> Vendor:
    return Vendor(
        shape=MediaShape(
            audio="delta", expected=(Expected("type", kind),), response_id="response_id", item_id="item_id"
        ),
        media=[delta(kind), delta(kind, (",", " ,\n"))],
        others=[
            delta(f"{kind}x"),
            delta(kind, ('"r"', '"other"')),
            delta(kind, ('"i"', '"other"')),
            delta(kind, ('"item_id":"i",', "")),
            delta(kind, ('"item_id"', '"item\\u005fid"')),
            delta(kind, ("=", "")),
            '{"type":"input_audio_buffer.speech_started","audio_start_ms":7,"item_id":"i"}',
        ],
        template=MediaTemplate(head='{"type":"input_audio_buffer.append","audio":"', tail='"}'),
        written=f'{{"type":"input_audio_buffer.append","audio":"{PAYLOAD}"}}',
    )


CARRIERS = {
    "twilio": Vendor(
        shape=inbound("MZ1", "streamSid", counter=Counter("sequenceNumber", is_text=True)),
        media=[twilio(), twilio(('"chunk":"1",', "")), twilio(("{", '{"new":[1,{"a":null}],'))],
        others=[
            twilio(("MZ1", "MZ2")),
            twilio(('"2"', "2")),
            twilio(('"5"', '"-5"')),
            twilio(('"inbound"', '"outbound"')),
            twilio(('"track":"inbound",', "")),
            twilio(('"event"', '"event":"media","event"')),
            '{"event":"mark","sequenceNumber":"9","streamSid":"MZ1","mark":{"name":"utt-3"}}',
            '{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"#"}}',
            twilio().encode(),
        ],
        template=MediaTemplate(head='{"event":"media","streamSid":"MZ1","media":{"payload":"', tail='"}}'),
        written=f'{{"event":"media","streamSid":"MZ1","media":{{"payload":"{PAYLOAD}"}}}}',
    ),
    "telnyx": Vendor(
        shape=inbound(
            "u",
            "stream_id",
            counter=Counter("sequence_number", is_text=True),
            order=Counter("media.chunk", is_text=True),
        ),
        media=[telnyx()],
        others=[telnyx(('"chunk":"2",', "")), telnyx(('"u"', '"v"')), telnyx(('"4"', "4"))],
        template=MediaTemplate(head='{"event":"media","media":{"payload":"', tail='"}}'),
        written=f'{{"event":"media","media":{{"payload":"{PAYLOAD}"}}}}',
    ),
    "plivo": Vendor(
        shape=inbound("u", "streamId", counter=Counter("sequenceNumber", is_text=False)),
        media=[plivo(), plivo(('"sequenceNumber":2', '"sequenceNumber":0'))],
        others=[plivo((":2", ':"2"')), plivo((":2", ":2.0")), plivo((":2", ":-2")), plivo((":2", ":1e3"))],
        template=MediaTemplate(
            head='{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"', tail='"}}'
        ),
        written=f'{{"event":"playAudio","media":{{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"{PAYLOAD}"}}}}',
    ),
    "vonage": Vendor(
        shape=MediaShape(audio=None, frame_bytes=160),
        media=[AUDIO],
        others=[AUDIO[:-1], AUDIO + b"x", b"", '{"event":"websocket:dtmf","digit":"5","duration":260}'],
        template=MediaTemplate(head=None, frame_bytes=160),
        written=AUDIO,
    ),
}

PROVIDERS = {
    "openai": openai("response.output_audio.delta"),
    "qwen": openai("response.audio.delta"),
    "openai-live": Vendor(
        shape=MediaShape(audio="delta", expected=(Expected("type", "session.output_audio.delta"),)),
        media=[f'{{"type":"session.output_audio.delta","delta":"{PAYLOAD}"}}'],
        others=['{"type":"session.commentary.appended","start_ms":800,"end_ms":800,"event_id":"e"}'],
        template=MediaTemplate(head='{"type":"session.input_audio.append","audio":"', tail='"}'),
        written=f'{{"type":"session.input_audio.append","audio":"{PAYLOAD}"}}',
    ),
    "gemini": Vendor(
        shape=MediaShape(
            audio="serverContent.modelTurn.parts.[].inlineData.data",
            expected=(
                Expected("serverContent.modelTurn.parts.[].inlineData.mimeType", "audio/pcm;rate=24000"),
                Expected("serverContent.modelTurn.role", "model", is_optional=True),
            ),
            is_closed=True,
            in_binary=True,
        ),
        media=[gemini(), gemini().decode(), gemini(('"parts"', '"role":"model","parts"'))],
        others=[
            gemini(("24000", "16000")),
            gemini(("[", '[{"text":"Hm","thought":true},')),
            gemini(("]", ',{"text":"Hello"}]')),
            gemini(("[", f'[{{"inlineData":{{"mimeType":"audio/pcm;rate=24000","data":"{PAYLOAD}"}}}},')),
            gemini(("]}", ']},"outputTranscription":{"text":"Hello"}')),
            gemini(("]}", ']},"turnComplete":true')),
            gemini(("]}}", ']}},"usageMetadata":{}')),
            gemini(('"parts"', '"role":"user","parts"')),
            '{"serverContent":{"interrupted":true}}',
            gemini() + b"\xff",
        ],
        template=MediaTemplate(
            head='{"realtimeInput":{"audio":{"data":"', tail='","mimeType":"audio/pcm;rate=16000"}}}'
        ),
        written=f'{{"realtimeInput":{{"audio":{{"data":"{PAYLOAD}","mimeType":"audio/pcm;rate=16000"}}}}}}',
    ),
}
