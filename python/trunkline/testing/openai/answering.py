"""Producing an answer: ask the brain, let it speak, and hand the pieces out at the speed that was asked for."""

import re
from collections.abc import Sequence

import anyio.lowlevel

from trunkline.testing.brain import Brain, Say
from trunkline.testing.delivery import MOUTH, Delivery
from trunkline.testing.openai.conversation import Clip, Item, history
from trunkline.testing.openai.response import Response


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

        def give(said: Sequence[str], piece: bytes) -> bool:
            _add_words(response, said)
            if piece:
                response.add_audio(piece)
            return not response.spent

        await delivery.hand_out(words, spoken, response.plan.format, give)
    if not response.spent:
        response.close_message()


def _add_words(response: Response, words: Sequence[str]) -> None:
    for word in words:
        if response.spent:
            return
        response.add_words(word)
