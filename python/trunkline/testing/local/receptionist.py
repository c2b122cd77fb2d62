"""The demo's receptionist: what a caller may say, and what is answered. Words only; audio is the brain's business."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from trunkline.stt.grammar import Grammar
from trunkline.testing.brain import CallTool, Heard, Say, Tools, fitting_arguments, sentence_to_say

WEATHER_TOOL: Final = "get_weather"

CITIES: Final = (
    "London",
    "Tokyo",
    "Madrid",
    "Berlin",
    "Vienna",
    "Boston",
    "Dublin",
    "Amsterdam",
    "Singapore",
    "Copenhagen",
    "Barcelona",
    "Melbourne",
    "Moscow",
    "Cairo",
    "Helsinki",
    "Munich",
    "Seattle",
    "Atlanta",
    "Athens",
    "Delhi",
    "Mumbai",
    "Bangkok",
    "Montreal",
    "Philadelphia",
    "Oslo",
    "Miami",
)

_WEATHER: Final = (
    "what is the weather in {city}",
    "what is the weather like in {city}",
    "tell me the weather in {city}",
)

_GREETING: Final = "Hello, this is the Trunkline demo. How can I help you?"
_HINT: Final = "You can ask for our opening hours, our services, our address, or the weather in a city."
_NOT_UNDERSTOOD: Final = f"Sorry, I did not get that. {_HINT}"
_NO_TOOL: Final = "Sorry, I cannot look that up at the moment."
_NO_TOOLS: Final[Tools] = {}
_NO_RESULT: Final = "Sorry, I could not find that out."

_SERVICES: Final = (
    "We connect telephone lines to voice models. When somebody calls, we answer, we listen to every word, and we speak back without "
    "delay. We look things up while the caller waits, we stop talking when we are interrupted, and we write down what was really heard."
)

_REPLIES: Final[Mapping[str, str]] = {
    sentence: reply
    for sentences, reply in (
        (
            ("what are your opening hours", "when are you open"),
            "We are open from nine in the morning to six in the evening, Monday to Friday.",
        ),
        (
            ("where are you", "how do i get there", "what is your address", "where is your office"),
            "You find us at twelve Harbour Street, on the second floor.",
        ),
        (
            ("i would like to book an appointment", "please book an appointment", "can i make an appointment"),
            "Appointments are made in person. Just come by, Monday to Friday, from nine to six.",
        ),
        (
            ("tell me about your services", "what can you do for me"),
            _SERVICES,
        ),
        (("can you help me", "what can i ask you", "i need help"), f"Of course. {_HINT}"),
        (("thank you goodbye", "goodbye"), "Thank you for calling. Goodbye!"),
    )
    for sentence in sentences
}

RECEPTIONIST_GRAMMAR: Final = Grammar([*_REPLIES, *_WEATHER], slots={"city": CITIES})

_QUOTED = re.compile(r"""\bsay\b[^"“]*["“]([^"“”]+)["”]""", re.IGNORECASE)


def answer(history: Sequence[Heard], *, instructions: str = "", tools: Tools = _NO_TOOLS) -> Say | CallTool:
    """The receptionist's next line.

    Args:
        history: The conversation so far; its last line is answered. A conversation that has not begun is opened with a greeting.
        instructions: A sentence marked by `<say>` in it, or quoted after the word "say", is said as it stands, whatever the history.
        tools: The tools on offer, with the schemas of their arguments; without `get_weather` the weather cannot be looked up.
    """
    sentence = sentence_to_say(instructions)
    if sentence is None and (quoted := _QUOTED.search(instructions)):
        sentence = quoted[1]
    if sentence is not None:
        return Say(sentence)
    last = history[-1] if history else Heard("system", None)
    if last.role == "user":
        return reply(last.text, tools=tools)
    if last.role == "tool":
        return Say(report(last.text, city=_city_asked_for(history)))
    return Say(_GREETING)


def reply(heard: str | None, *, tools: Tools = _NO_TOOLS) -> Say | CallTool:
    """What follows on the caller's words, None being words that were not understood."""
    match = RECEPTIONIST_GRAMMAR.match(heard) if heard else None
    if match is None:
        return Say(_NOT_UNDERSTOOD)
    if match.template in _REPLIES:
        return Say(_REPLIES[match.template])
    if WEATHER_TOOL not in tools:
        return Say(_NO_TOOL)
    return CallTool(WEATHER_TOOL, fitting_arguments(match.values, tools[WEATHER_TOOL]))


def report(result: str | None, *, city: str) -> str:
    """The weather as a sentence.

    Args:
        result: The tool's answer: a JSON object with any of `city`, `conditions` and `temperature` (degrees Celsius), or plain
            text, which is read out.
        city: The city that was asked for, used where the result names none.
    """
    if not result:
        return _NO_RESULT
    try:
        facts = json.loads(result)
    except ValueError:
        return result
    if isinstance(facts, str) and facts:
        return facts
    if not isinstance(facts, dict) or "error" in facts:
        return _NO_RESULT
    known = [str(facts["conditions"])] if facts.get("conditions") else []
    if isinstance(facts.get("temperature"), int | float):
        known.append(f"{round(facts['temperature'])} degrees")
    return f"In {facts.get('city', city)} it is now: {', '.join(known)}." if known else _NO_RESULT


def _city_asked_for(history: Sequence[Heard]) -> str:
    """The city in the caller's latest question about the weather."""
    for line in reversed(history):
        match = RECEPTIONIST_GRAMMAR.match(line.text) if line.role == "user" and line.text else None
        if match and "city" in match.values:
            return match.values["city"]
    return "the city"
