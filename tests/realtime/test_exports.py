"""What `trunkline.realtime` gives, and what it does not drag in."""

import subprocess
import sys

import pytest

import trunkline.realtime


def test_every_public_name_is_there() -> None:
    assert trunkline.realtime.__all__ == sorted(trunkline.realtime.__all__)
    for name in trunkline.realtime.__all__:
        assert getattr(trunkline.realtime, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = trunkline.realtime.Nothing


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'httpx', 'numpy', 'websockets', 'trunkline.realtime.openai'}"
    code = f"import sys, trunkline.realtime; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"
