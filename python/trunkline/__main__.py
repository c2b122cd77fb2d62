"""`trunkline` and `python -m trunkline`: the door to the command line."""

import sys

from trunkline.errors import MissingExtra


def main() -> None:
    """Run the command line; without its extra, say which one to install."""
    try:
        from trunkline.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"trunkline: {MissingExtra('cli', 'the command line')}\n")
        raise SystemExit(1) from error
    run()


if __name__ == "__main__":
    main()
