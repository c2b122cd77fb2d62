"""What the row offers."""

import subprocess
import sys

import trunkline.transport


def test_every_name_is_there_and_sorted() -> None:
    names = trunkline.transport.__all__
    assert names == sorted(names)
    assert all(hasattr(trunkline.transport, name) for name in names)


def test_httpx_is_imported_only_when_it_is_used() -> None:
    code = "import sys, trunkline.transport; sys.exit('httpx' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
