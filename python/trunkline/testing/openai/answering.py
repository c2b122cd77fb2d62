"""Producing an answer: ask the brain, let it speak, and hand the pieces out at the speed that was asked for."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import anyio.lowlevel

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.errors import InvalidConfig
from trunkline.testing.brain import Brain, Say
from trunkline.testing.openai.conversation import Clip, Item, history
from trunkline.testing.openai.response import Response

MOUTH = AudioFormat("linear16", 24_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How audio is handed out: `speed` times as fast as it plays, or all at once if None, in pieces of `chunk_ms`."""

    clock: Clock
    speed: float | None
    chunk_ms: int

    def __post_init__(self) -> None:
        if self.speed is not None and self.speed <= 0:
            raise InvalidConfig("speed", "must be above 0, or None")
        if self.chunk_ms < 1:
            raise InvalidConfig("chunk_ms", "must be at least 1")

    @property
    def lead(self) -> float:
        """Which part of an answer is still to be played when all of it has been handed out."""
        return 1.0 if self.speed is None else max(0.0, 1 - 1 / self.speed)


async def answer(response: Response, items: Sequence[Item], brain: Brain, delivery: Delivery) -> None:
    """Answer to these items, from the moment the user's speech in them is understood to `response.done`."""
    plan = response.plan
    for item in items:
        await item.understood.wait()
    lines = await brain.answer(history(items), instructions=plan.instructions, tools=plan.tools)
    await anyio.lowlevel.checkpoint_if_cancelled()
    response.usage.read(plan.instructions, items)
    if not plan.speaks_with_calls and not all(isinstance(line, Say) for line in lines):
        lines = [line for line in lines if not isinstance(line, Say)]
    for position, line in enumerate(lines):
        if isinstance(line, Say):
            calls = any(not isinstance(later, Say) for later in lines[position:])
            await _say(response, line.text, brain, delivery, phase="commentary" if calls else "final_answer")
        elif line.name in plan.tools:
            response.call(line.name, line.arguments)
        else:
            message = f"The function '{line.name}' is not among the tools of this response."
            response.finish("failed", {"error": {"type": "server_error", "code": "server_error", "message": message}})
            return
        if response.spent:
            response.finish("incomplete", {"reason": "max_output_tokens"})
            return
    response.finish()


async def _say(response: Response, text: str, brain: Brain, delivery: Delivery, *, phase: str) -> None:
    """Say it; a response that has spent its tokens is left with the message open."""
    words = re.findall(r"\s*\S+", text)
    if not response.plan.audible:
        response.open_message(phase=phase)
        _add_words(response, words)
    else:
        spoken = Clip(format=MOUTH, data=await brain.speak(text)).heard_as(response.plan.format)
        await anyio.lowlevel.checkpoint_if_cancelled()
        response.open_message(phase=phase)
        await _hand_out(response, words, spoken, delivery)
    if not response.spent:
        response.close_message()


async def _hand_out(response: Response, words: Sequence[str], audio: bytes, delivery: Delivery) -> None:
    size = response.plan.format.frame_bytes(delivery.chunk_ms)
    count = math.ceil(len(audio) / size)
    began, given = delivery.clock.now(), 0
    for position in range(count):
        if delivery.speed is not None:
            await delivery.clock.sleep_until(began + position * delivery.chunk_ms / 1000 / delivery.speed)
            await anyio.lowlevel.checkpoint_if_cancelled()
        due = math.ceil(len(words) * (position + 1) / count)
        _add_words(response, words[given:due])
        given = due
        response.add_audio(audio[position * size : (position + 1) * size])
        if response.spent:
            return
    _add_words(response, words[given:])


def _add_words(response: Response, words: Sequence[str]) -> None:
    for word in words:
        if response.spent:
            return
        response.add_words(word)
