"""What the package gives away, and what importing it costs."""

import importlib
import pkgutil
import subprocess
import sys
from itertools import pairwise

import pytest

import trunkline

PACKAGES = [
    name
    for _, name, is_package in pkgutil.walk_packages(trunkline.__path__, "trunkline.")
    if is_package and not name.endswith("._native")
]


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", trunkline.__all__)
def test_the_root_gives_every_name_it_lists(name: str) -> None:
    assert getattr(trunkline, name).__name__ == name or name == "FunctionDeclaration"


def test_the_root_refuses_other_names() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = trunkline.nonsense
    assert set(trunkline.__all__) <= set(dir(trunkline))


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_exact(package: str) -> None:
    module = importlib.import_module(package)
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    for name in listed:
        assert hasattr(module, name), name


def test_importing_the_root_loads_neither_numpy_nor_httpx_nor_any_row() -> None:
    loaded = loaded_by("import trunkline")
    assert not {"numpy", "httpx", "pydantic", "anyio", "websockets"} & loaded
    assert [name for name in loaded if name.startswith("trunkline")] == ["trunkline"]


@pytest.mark.parametrize(
    "module", ["trunkline.audio", "trunkline.realtime", "trunkline.gateway.twilio", "trunkline.pipeline"]
)
def test_importing_a_row_loads_neither_numpy_nor_httpx(module: str) -> None:
    assert not {"numpy", "httpx", "typer", "rich", "trustme", "pocketsphinx"} & loaded_by(f"import {module}")


def test_importing_the_root_is_fast() -> None:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import trunkline"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stderr
    (line,) = [line for line in told.splitlines() if line.endswith("| trunkline")]
    assert int(line.split("|")[1]) <= 150_000  # microseconds


def test_names_of_one_list_are_in_order() -> None:
    assert all(a < b for a, b in pairwise(trunkline.__all__))
