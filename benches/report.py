"""The page that a run writes: tables, what they mean, and how to repeat them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from benches import machine
from benches.contenders import Contender
from benches.quality import Quality
from benches.speed import Timing
from trunkline.audio import AudioFormat, StreamConverter

WANTED = {"soxr HQ": 8, "audioop.ratecv": 3}  # how many times faster the two telephone ways must be

HEAD = """\
# Audio, measured

<!-- `make bench` writes this page. -->

A frame of 20 ms, bytes in and bytes out, through Python; quality between 8 and 24 kHz, fed frame by frame as a call feeds it.

- Machine: {processor}
- Software: {software}
- Again: `make bench` (`cargo bench -p trunkline-benches` for the core without Python)

## Quality

| | ripple, dB | images, dB | aliases, dB | SINAD, dB | delay, ms | seam |
|---|--:|--:|--:|--:|--:|--:|
"""

QUALITY = """
*Ripple*: how far a tone from 100 Hz to 3.4 kHz leaves its level. *Images*: the loudest that such a tone leaves elsewhere on the way up,
below 3.4 kHz or from 4.6 kHz on. *Aliases*: the loudest that is left of a tone from 4.6 kHz on, on the way down. *SINAD*: a tone of 1 kHz
against all that is not that tone; 16 bits allow about 95 dB at its level. *Delay*: how long after a sample its place in the output comes
out, fed sample by sample; the longer of both ways. *Seam*: how far a sample is from itself, at most, when the same noise comes in other
chunks.

![Frequency response from 8 to 24 kHz](response.png)

What lies above 4.6 kHz is images of the voice. The curves stop near -115 dB, where 16 bits end.

## Speed

Every contender runs half a millisecond or more in turn, {rounds} rounds of it in changing order. Nanoseconds a frame are medians; in
brackets, how many of ours fit into one, the median of the rounds. The others' G.711 is audioop's, in C.

| | {ways} |
|---|{rules}|
"""

MESSAGES = """
A wire message, base64 text in and base64 text out (`StreamConverter.convert_base64`): {messages}.

Wanted of the two telephone ways: {verdicts}.
"""

TRADE = """
## Taps, slope and delay

A filter can be clean, early and cheap, but its slope must lie somewhere. Ours lies from 0.85 to 1.15 of half the lower rate: at 8 kHz from
3.4 kHz, where telephone speech ends, to 4.6 kHz. With Kaiser's window that takes 36 inputs an output on the way up from 8 kHz, 108 (stored
as 112) on the way down from 24 kHz, and half of their time as delay. A slope that ended at 4.0 kHz would need twice as many taps and be
twice as late, for a band in which a telephone has nothing to say; what falls into the slope is attenuated, but not removed. The window is
85 dB deep rather than 100 because 16-bit samples, and all the more the 8 bits of G.711, cover the rest.

The delay of each pair of telephone rates, in milliseconds:

"""

CORE = """
## The core alone

`cargo bench -p trunkline-benches`: `a_bound` is the filter's multiply-accumulates and nothing else, `fastest` what this processor runs,
`portable` what any can.

```text
{core}
```
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run has found out, by the contender's name."""

    rounds: int
    contenders: list[Contender]
    missing: list[Contender]
    quality: dict[str, Quality]
    speed: dict[str, dict[str, Timing]]
    messages: dict[str, float]
    core: str


def page(findings: Findings) -> str:
    """The whole page."""
    ways = findings.speed
    text = HEAD.format(processor=machine.processor(), software=machine.software(findings.contenders))
    text += "\n".join(_quality_rows(findings))
    text += "\n" + QUALITY.replace("{ways}", " | ".join(ways)).format(
        rounds=findings.rounds, rules="|".join(["--:"] * len(ways))
    )
    text += "\n".join(_speed_rows(findings)) + "\n"
    messages = ", ".join(f"{name} {ns / 1000:.2f} µs" for name, ns in findings.messages.items())
    text += MESSAGES.format(messages=messages, verdicts="; ".join(_verdicts(findings)))
    text += TRADE + "\n".join(_delays()) + "\n"
    if findings.core:
        text += CORE.format(core=findings.core.strip())
    return text


def _quality_rows(findings: Findings) -> Iterator[str]:
    for name, found in findings.quality.items():
        delay = "frames only" if found.delay_ms is None else f"{found.delay_ms:.1f}"
        levels = [f"{db:.0f}" if db > -100 else "< -100" for db in (found.image_db, found.alias_db)]
        yield f"| {name} | {found.ripple_db:.4f} | {' | '.join(levels)} | {found.sinad_db:.0f} | {delay} | {found.seam} |"
    for contender in findings.missing:
        yield f"| {contender.name} | not installable here | | | | | |"


def _speed_rows(findings: Findings) -> Iterator[str]:
    for contender in findings.contenders:
        timings = [way[contender.name] for way in findings.speed.values()]
        yield f"| {contender.name} | {' | '.join(f'{timing.ns:,.0f} ({timing.ratio:.1f})' for timing in timings)} |"


def _verdicts(findings: Findings) -> Iterator[str]:
    for name, times in WANTED.items():
        ratios = [way[name].ratio for way in list(findings.speed.values())[:2] if name in way]
        if ratios:
            said = " and ".join(f"{ratio:.1f}" for ratio in ratios)
            yield f"{times} times as fast as {name}, found {said}{'' if min(ratios) >= times else ' (missed)'}"


def _delays() -> Iterator[str]:
    rates = (8000, 16000, 24000, 48000)
    delays = {
        pair: StreamConverter(*(AudioFormat("linear16", rate) for rate in pair)).delay_ms
        for pair in permutations(rates, 2)
    }
    yield f"| from, to | {' | '.join(f'{rate // 1000} kHz' for rate in rates)} |"
    yield f"|---|{'--:|' * len(rates)}"
    for from_ in rates:
        cells = [f"{delays[from_, to]:.2f}" if to != from_ else "0" for to in rates]
        yield f"| {from_ // 1000} kHz | {' | '.join(cells)} |"
