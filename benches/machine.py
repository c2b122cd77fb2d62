"""What the benches ran on."""

import importlib.metadata
import os
import platform
from pathlib import Path

from benches.contenders import Contender


def processor() -> str:
    """Its name, what it can, and how many of it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        told = []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in told)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    can = " and ".join(flag.upper() for flag in ("avx2", "fma") if flag in facts.get("flags", "").split())
    return f"{name}, {os.cpu_count()} cores, {can or 'without AVX2'}"


def software(contenders: list[Contender]) -> str:
    """The versions of everything that was measured."""
    packages = dict.fromkeys(["trunkline", "numpy", *(contender.package for contender in contenders)])
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages if name != "audioop"]
    return ", ".join([f"{platform.python_implementation()} {platform.python_version()}", platform.system(), *versions])
