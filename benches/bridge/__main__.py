"""Measure the whole path from caller to vendor and back, and write docs/benchmarks/bridge.md."""

import argparse
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benches.bridge import load, page

TARGET = Path(__file__).parents[2] / "docs" / "benchmarks" / "bridge.md"
PROFILED = 30


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.bridge", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 50, 100], help="how many at once (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each is watched (%(default)s)")
    parser.add_argument(
        "--backend", default="asyncio", choices=("asyncio", "uvloop", "trio"), help="event loop (%(default)s)"
    )
    parser.add_argument("--into", type=Path, default=TARGET, help="where the page goes (%(default)s)")
    options = parser.parse_args()
    busy = f"{os.getloadavg()[0]:.1f}"
    tables: dict[str, list[load.Findings]] = {}
    kinds = [("µ-law as it is", False, options.backend), ("µ-law to 24 kHz PCM and back", True, options.backend)]
    if options.backend == "asyncio" and find_spec("uvloop"):
        kinds.append(("µ-law as it is, with uvloop", False, "uvloop"))
    for title, pcm, backend in kinds:
        tables[title] = []
        for calls in options.calls:
            seconds = options.seconds * (2 if calls == 1 else 1)  # so that there are some interruptions to see
            print(f"{title}: {calls} calls, {seconds:g} s", file=sys.stderr, flush=True)
            tables[title].append(load.run(calls, seconds, pcm=pcm, backend=backend))
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "gateway.stacks"
        load.run(PROFILED, options.seconds, pcm=False, backend=options.backend, profile=profile)
        text = page.page(
            tables, profile, profiled=PROFILED, seconds=options.seconds, load=busy, backend=options.backend
        )
    options.into.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
