"""What a process holds: memory, objects of ours, tasks, threads and open files."""

import contextlib
import ctypes
import gc
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio

STATM = Path("/proc/self/statm")
FILES = Path("/proc/self/fd")
PAGE = 4096


def resident_mb() -> float | None:
    """Megabytes of resident memory after free memory went back to the system; None where the system does not tell."""
    if not STATM.exists():
        return None
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(STATM.read_text().split()[1]) * PAGE / 1e6


def live_objects() -> dict[str, int]:
    """How many objects of each class of the package live, those in uncollected cycles too."""
    kinds = (type(thing) for thing in gc.get_objects())
    return dict(Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if _is_ours(kind)))


def _is_ours(kind: type) -> bool:
    return str(kind.__module__).startswith("trunkline.")


def snapshot() -> dict[str, Any]:
    """All of it, as JSON-able values."""
    return {
        "rss_mb": resident_mb(),
        "objects": live_objects(),
        "tasks": len(anyio.get_running_tasks()),
        "threads": threading.active_count(),
        "files": len(list(FILES.iterdir())) if FILES.exists() else 0,
    }
