"""The page that a run writes: tables, what they mean, where the time goes, and how to repeat them."""

import os
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benches import machine
from benches.bridge import samples
from benches.bridge.load import Findings

WANTED_CLEAR_MS: Final = 5.0

HEAD = """\
# The bridge, measured

<!-- `python -m benches.bridge` writes this page. -->

The whole path on loopback: simulated callers and a simulated vendor in one process, the gateway in a process of its own.

- Machine: {processor}; load average {load} when the run began, and other work may have run beside it
- Software: {software}
- The gateway: `TwilioGateway` as it comes, in a program that runs `pace_garbage_collection` as the guide for many calls has it; event loop
  {backend} where nothing else is said
- Again: `python -m benches.bridge --seconds {seconds:g}`, on Linux; each number of calls is watched that long, one call twice as long

Every caller sends a frame of 20 ms all the time and returns marks when they would have been played. The vendor gives an answer of four
seconds every three seconds, in pieces of 200 ms, five times as fast as it is heard, and says after a second and a half that the caller
speaks; half a second later that they have stopped. Callers and vendors share one loop that does no more than it must, on sockets without
a library; its share of a core stands beside the gateway's, since both live on the same {cores} cores.
"""

TABLE = """
## {title}

| calls | CPU, ms | gateway | load | in, p50 | in, p99 | out, p50 | out, p99 | clear, p50 | clear, p99 | late, p99 |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""

MEANING = """
*CPU*: processor time of the gateway for a call and a second of it, user and system. *Gateway*, *load*: how much of a core each took. The
delays are in milliseconds. *In*: from a caller's frame at the gateway's socket to the append with it at the vendor's socket. *Out*: from
the first audio of an answer, sent by the vendor, to the first media message at the caller's socket; what comes later waits in the gateway
on purpose, since it plays ahead by no more than 400 ms. *Clear*: from the vendor's word that the caller speaks to `clear` at the caller's
socket. *Late*: how long after its time the load sent a caller's frame, which is what the machine and the load add by themselves. What is
seen is seen when the load reads its socket, so its own delay is in all of these. A gateway that takes all of a core that it can get has
reached its end: its queues grow, audio that piled up goes in fewer messages, so that a call seems to cost less, and what the bridge drops
is counted as late. The delays then say how long the run was rather than how fast the gateway is. Where a frame has its turn more than a
millisecond late the bridge waits for more of them, up to a tenth of a second: that is what *in* shows at p99 with many calls, and what
keeps *clear* short.

{samples}

{verdict}
"""

PROFILE = """
## Where the time goes

{samples:,} samples of the gateway's stack with {calls} calls, µ-law as it is, taken as it uses processor time: waiting does not count, and
what C code takes is told of the Python function that called it. A share is good to about {error:.1f} points. By what the code belongs to:

| part | share |
|---|--:|
{parts}

The dearest functions by themselves:

| function | share |
|---|--:|
{functions}

Some with all that they call, where the shares overlap:

| function | share |
|---|--:|
{whole}

A frame of the caller wakes two tasks, the one that reads the carrier's socket and the one that sends to the vendor. Waiting until a
socket can be read is {waiting:.0%} of all; the system calls that read and send are {kernel:.0%}, as `receive` and `_send_now` make nearly
nothing but those. Cancel scopes are {scopes:.0%} (`__enter__` and `__exit__`), locks {acquire:.0%}.
"""

BACKEND: Final = "anyio/_backends/_asyncio.py"
WHOLE: Final = (
    ("transport/connection.py", "send"),
    ("transport/connection.py", "_write"),
    ("transport/connection.py", "receive"),
    ("transport/connection.py", "_flush"),
    ("transport/connection.py", "_read"),
    ("transport/connection.py", "_digest"),
    (BACKEND, "acquire"),
    (BACKEND, "__enter__"),
    (BACKEND, "__exit__"),
    (BACKEND, "wait_readable"),
    ("transport/tcp.py", "receive"),
    ("transport/tcp.py", "_send_now"),
    ("wire/telephony/twilio.py", "receive"),
    ("pipeline/bridge.py", "send_audio"),
    ("pipeline/playout.py", "_fill"),
    ("pipeline/dialogue.py", "handle"),
    ("reconnect/session.py", "send_audio"),
    ("openai/session.py", "send_audio"),
)
"""What is asked about: the ways of a message out and in, and what the pipeline does with it."""


def quantile(values: list[float], share: float) -> float:
    """The value below which so much of them lies; of a few values, p99 is the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def page(
    tables: dict[str, list[Findings]], profile: Path, *, profiled: int, seconds: float, load: str, backend: str
) -> str:
    """The whole page."""
    packages = [
        "trunkline",
        "anyio",
        "websockets",
        "pydantic-core",
        *(extra for extra in ("trio", "uvloop") if find_spec(extra)),
    ]
    software = ", ".join(
        [machine.software([]).split(", trunkline")[0], *(f"{name} {version(name)}" for name in packages)]
    )
    text = HEAD.format(
        processor=machine.processor(),
        load=load,
        seconds=seconds,
        software=software,
        backend=backend,
        cores=os.cpu_count(),
    )
    for title, findings in tables.items():
        text += TABLE.format(title=title) + "\n".join(_row(found) for found in findings) + "\n"
    samples = "; ".join(_samples(title, findings) for title, findings in tables.items())
    verdict = " ".join(_verdict(title, findings[-1]) for title, findings in tables.items())
    text += MEANING.format(samples=f"Interruptions measured: {samples}.", verdict=verdict)
    return text + _profile(profile, profiled)


def _row(found: Findings) -> str:
    seen = found.seen
    pairs = [(values, share) for values in (seen.uplink, seen.downlink, seen.clear) for share in (0.5, 0.99)]
    delays = [f"{quantile(values, share):,.1f}" for values, share in [*pairs, (seen.late, 0.99)]]
    cpu = f"{1000 * found.gateway_share / found.calls:.1f} | {found.gateway_share:.0%} | {found.load_share:.0%}"
    return f"| {found.calls} | {cpu} | {' | '.join(delays)} |"


def _samples(title: str, findings: list[Findings]) -> str:
    return f"{title}, " + ", ".join(f"{len(found.seen.clear)} with {found.calls}" for found in findings)


def _verdict(title: str, found: Findings) -> str:
    clear = quantile(found.seen.clear, 0.99)
    said = (
        f"Wanted with {found.calls} calls: `clear` within {WANTED_CLEAR_MS:.0f} ms at p99; {title}, found {clear:,.1f}"
    )
    return f"{said}." if clear <= WANTED_CLEAR_MS else f"{said} (missed by {clear - WANTED_CLEAR_MS:,.1f} ms)."


def _profile(path: Path, calls: int) -> str:
    found = samples.read(path)
    dearest = list(found.own.items())[:14]
    return PROFILE.format(
        samples=found.samples,
        calls=calls,
        error=100 * (0.1 * 0.9 / max(1, found.samples)) ** 0.5 * 2,  # two deviations of a share of a tenth
        parts="\n".join(f"| {name} | {share:.1%} |" for name, share in found.parts.items() if share >= 0.005),
        functions="\n".join(f"| `{_name(*where)}` | {share:.1%} |" for where, share in dearest),
        whole="\n".join(_whole(found)),
        acquire=_share(found, BACKEND, "acquire"),
        scopes=_share(found, BACKEND, "__enter__") + _share(found, BACKEND, "__exit__"),
        waiting=_share(found, BACKEND, "wait_readable"),
        kernel=sum(found.own.get(where, 0.0) for where in found.own if where[0].endswith("transport/tcp.py")),
    )


def _whole(found: samples.Shares) -> Iterator[str]:
    for file, function in WHOLE:
        yield f"| `{_name(file, function)}` | {_share(found, file, function):.1%} |"


def _share(found: samples.Shares, file: str, function: str) -> float:
    return sum(share for where, share in found.whole.items() if where[0].endswith(file) and where[1] == function)


def _name(file: str, function: str) -> str:
    return f"{'/'.join(Path(file).parts[-2:])} {function}"
