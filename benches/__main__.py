"""Measure the converter beside others and write docs/benchmarks/audio.md."""

import argparse
from pathlib import Path

from benches import contenders, quality, report, response, speed

TARGET = Path(__file__).parent.parent / "docs" / "benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=101, help="how often each contender's turn comes (%(default)s)")
    parser.add_argument("--core", type=Path, help="what `cargo bench -p trunkline-benches` has said")
    parser.add_argument("--into", type=Path, default=TARGET, help="where the page and its picture go (%(default)s)")
    options = parser.parse_args()
    here, missing = contenders.present()
    findings = report.Findings(
        rounds=options.rounds,
        contenders=here,
        missing=missing,
        speed=speed.measure(here, options.rounds),
        messages=speed.wire_messages(options.rounds),
        quality={contender.name: quality.measure(contender) for contender in here},
        core=options.core.read_text(encoding="utf-8") if options.core else "",
    )
    options.into.mkdir(parents=True, exist_ok=True)
    response.draw(here, options.into / "response.png")
    page = report.page(findings)
    (options.into / "audio.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
