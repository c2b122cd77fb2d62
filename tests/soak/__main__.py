"""The soak at full length, with its progress shown and a table at the end: `python -m tests.soak --calls 2000 --minutes 20`."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from tests.soak.soak import CALL_MB, FLAT_MB, many_calls, memory_of_a_long_call, memory_of_running_calls

COMBINATIONS = [(vendor, backend) for vendor in ("fake", "openai") for backend in ("asyncio", "trio")]


class Row:
    """One line of the table: what was soaked, what came of it, and what was wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.result = ""
        self.faults: list[str] = []
        self._began = time.monotonic()
        self.seconds = 0.0
        self.show("")

    def show(self, progress: str) -> None:
        """Show how far it is, on one line of the terminal, or now and then in a file."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{self.name:28} {progress:40}")
            sys.stderr.flush()

    def measured(self, what: str, megabytes: float | None, limit: float) -> None:
        """Note a measured figure and whether it is within its limit."""
        self.result = f"{what} {'is not told by this system' if megabytes is None else f'{megabytes:.2f} MB'}"
        if megabytes is not None and megabytes > limit:
            self.faults.append(f"{self.result}, allowed are {limit:g} MB")

    def end(self) -> None:
        """Write the line."""
        self.seconds = time.monotonic() - self._began
        self.show("\r")
        print(f"{self.name:28} {self.seconds:6.0f} s  {'FAILED' if self.faults else 'ok':6}  {self.result}", flush=True)
        for fault in self.faults[:20]:
            print(f"    {fault}", flush=True)


async def soak_calls(row: Row, vendor: str, backend: str, calls: int, seed: int) -> None:
    began = time.monotonic()

    def progress(done: int) -> None:
        rate = done / max(0.001, time.monotonic() - began)
        row.show(f"{done} of {calls} calls, {rate:.1f} a second")
        if not sys.stderr.isatty() and done % 200 == 0:
            print(f"{row.name:28} {done} of {calls} calls", flush=True)

    report = await many_calls(vendor, backend, calls, seed, progress=progress)
    growth = "" if report.growth_mb is None else f"memory {report.growth_mb:+.1f} MB, "
    ends = ", ".join(f"{count} {reason}" for reason, count in report.reasons.most_common())
    row.result = f"{calls} calls, seed {seed}: {growth}{ends}"
    row.faults = report.faults()


async def soak_running(row: Row, vendor: str, backend: str) -> None:
    row.measured("each running call holds", await memory_of_running_calls(vendor, backend), CALL_MB)


async def soak_long(row: Row, vendor: str, backend: str, minutes: float) -> None:
    growth = await memory_of_a_long_call(
        vendor, backend, minutes, progress=lambda done: row.show(f"{done} of {minutes:g} minutes of speech")
    )
    row.measured(f"{minutes:g} minutes of speech: grew by", growth, FLAT_MB)


def run(name: str, backend: str, work: Callable[[Row], Awaitable[None]]) -> Row:
    """Run one part of the soak; whatever it raises is a fault of it."""
    row = Row(name)
    try:
        anyio.run(work, row, backend=backend)
    except Exception as error:  # noqa: BLE001 - the others are still to be run
        reasons = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        row.faults += [repr(reason) for reason in reasons]
    row.end()
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rows = []
    for vendor, backend in COMBINATIONS:
        name = f"{vendor}, {backend}"
        rows += [
            run(
                f"calls ({name})",
                backend,
                partial(soak_calls, vendor=vendor, backend=backend, calls=options.calls, seed=options.seed),
            ),
            run(f"running calls ({name})", backend, partial(soak_running, vendor=vendor, backend=backend)),
            run(
                f"long call ({name})",
                backend,
                partial(soak_long, vendor=vendor, backend=backend, minutes=options.minutes),
            ),
        ]
    failed = sum(bool(row.faults) for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} parts passed, in {sum(row.seconds for row in rows):.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
