"""Runs where pipecat is installed and nothing of ours: reads questions, a line of JSON each, and lets its Twilio serializer answer.

{"message": "…"}  a message of Twilio's  →  {"pcm": base64, "rate": 8000} or {"digit": "5"} or {}
{"pcm": base64}   8 kHz audio to send    →  {"message": "…"}
{"clear": true}   an interruption        →  {"message": "…"}
"""

import asyncio  # noqa: TID251 - the only event loop that pipecat runs on
import json
import sys
from base64 import b64decode, b64encode
from types import SimpleNamespace
from typing import Any

from pipecat.frames.frames import InputAudioRawFrame, InputDTMFFrame, InterruptionFrame, OutputAudioRawFrame
from pipecat.serializers.twilio import TwilioFrameSerializer


async def answer(serializer: Any, question: dict[str, Any]) -> dict[str, Any]:
    if "message" in question:
        frame = await serializer.deserialize(question["message"])
        if isinstance(frame, InputAudioRawFrame):
            return {"pcm": b64encode(frame.audio).decode(), "rate": frame.sample_rate}
        return {"digit": frame.button.value} if isinstance(frame, InputDTMFFrame) else {}
    if "pcm" in question:
        frame = OutputAudioRawFrame(audio=b64decode(question["pcm"]), sample_rate=8000, num_channels=1)
        return {"message": await serializer.serialize(frame)}
    return {"message": await serializer.serialize(InterruptionFrame())}


async def main(stream_sid: str) -> None:
    settings = TwilioFrameSerializer.InputParams(auto_hang_up=False)
    serializer = TwilioFrameSerializer(stream_sid, params=settings)
    await serializer.setup(SimpleNamespace(audio_in_sample_rate=8000, audio_out_sample_rate=8000))
    for line in sys.stdin:
        print(json.dumps(await answer(serializer, json.loads(line))), flush=True)


asyncio.run(main(sys.argv[1]))
