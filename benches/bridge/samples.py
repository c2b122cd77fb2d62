"""Where a process spends its processor time: what stood on the stack, asked by the timer that only runs while the process does.

Unlike a tracer this costs nothing that depends on how many functions are called, and waiting does not count. What C code takes is told
of the Python function that called it.
"""

import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

EVERY_S: Final = 0.001  # the kernel rounds it up to its own tick

Function = tuple[str, str]
Key = TypeVar("Key")


class Sampler:
    """Counts stacks from `start()` on; in the main thread alone."""

    def __init__(self) -> None:
        self._stacks: Counter[tuple[Function, ...]] = Counter()

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def stop(self, into: Path) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = (f"{count}\t" + "\t".join(map("|".join, stack)) for stack, count in self._stacks.items())
        into.write_text("\n".join(lines), encoding="utf-8")

    def _look(self, _: int, frame: FrameType | None) -> None:
        stack: list[Function] = []
        while frame is not None:
            stack.append((frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        self._stacks[tuple(stack)] += 1


@dataclass(frozen=True, slots=True)
class Shares:
    """Of all samples, those in which a function, or a part, ran itself (`own`), and those in which it was on the stack (`whole`)."""

    samples: int
    parts: dict[str, float]
    own: dict[Function, float]
    whole: dict[Function, float]


def read(path: Path) -> Shares:
    """What a `Sampler` wrote."""
    parts: Counter[str] = Counter()
    own: Counter[Function] = Counter()
    whole: Counter[Function] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        told, *names = line.split("\t")
        stack = [(file, function) for file, _, function in (name.partition("|") for name in names)]
        parts[part(stack[0])] += int(told)
        own[stack[0]] += int(told)
        for function in set(stack):
            whole[function] += int(told)
    total = parts.total()
    return Shares(total, _shares(parts, total), _shares(own, total), _shares(whole, total))


def _shares(counts: Counter[Key], total: int) -> dict[Key, float]:
    return {key: count / total for key, count in counts.most_common()}


def part(where: Function) -> str:
    """What a function belongs to."""
    file, _ = where
    if file.endswith("asyncio/selector_events.py"):
        return "sockets (asyncio and the kernel)"
    if file.endswith("selectors.py"):
        return "the selector"
    if "/trunkline/" in file:
        return f"trunkline.{file.split('/trunkline/')[1].split('/')[0].removesuffix('.py')}"
    if "/site-packages/" in file:
        return file.split("/site-packages/")[1].split("/")[0]
    return "asyncio" if "/asyncio/" in file else "the rest of Python's library"
