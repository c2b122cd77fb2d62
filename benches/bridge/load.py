"""Callers and vendors of many calls in one loop, and the gateway's process beside them."""

import heapq
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from benches.bridge.call import Call, Seen

WARM_UP_S: Final = 3.0
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Findings:
    """One run: what was seen, and the shares of a core that the gateway and the load took."""

    calls: int
    seconds: float
    gateway_share: float
    load_share: float
    seen: Seen


class Loop:
    """Timers and sockets that can be read, in one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()

    def later(self, due: float, call: Callable[[float], None]) -> None:
        heapq.heappush(self._timers, (due, next(self._order), call))

    def watch(self, peer: socket.socket, ready: Callable[[float], None]) -> None:
        self._selector.register(peer, selectors.EVENT_READ, ready)

    def run(self, until: float) -> None:
        while (now := time.monotonic()) < until:
            due = self._timers[0][0] if self._timers else until
            for key, _ in self._selector.select(max(0.0, min(due, until) - now)):
                key.data(time.monotonic())
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                due, _, call = heapq.heappop(self._timers)
                call(due)

    def close(self) -> None:
        self._selector.close()


def run(calls: int, seconds: float, *, pcm: bool, backend: str = "asyncio", profile: Path | None = None) -> Findings:
    """Hold so many calls for so long, and see."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as vendor:
        address = f"http://127.0.0.1:{vendor.getsockname()[1]}/v1"
        command = [sys.executable, "-m", "benches.bridge.gateway", address, "--backend", backend]
        command += ["--profile", str(profile)] if profile else []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gateway:
            assert gateway.stdin is not None
            assert gateway.stdout is not None
            url = gateway.stdout.readline().strip()
            try:
                return _observe(calls, seconds, url=url, pid=gateway.pid, vendor=vendor, pcm=pcm)
            finally:
                gateway.stdin.close()


def _observe(calls: int, seconds: float, *, url: str, pid: int, vendor: socket.socket, pcm: bool) -> Findings:
    loop, seen = Loop(), Seen()
    lines = [Call(n, gateway=url, vendor=vendor, pcm=pcm, later=loop.later, seen=seen) for n in range(calls)]
    began = time.monotonic()
    for n, line in enumerate(lines):
        loop.watch(line.caller.socket, line.hear)
        loop.watch(line.vendor.socket, line.listen)
        line.begin(began, phase=n / calls)
    loop.run(began + WARM_UP_S)
    for found in (seen.uplink, seen.downlink, seen.clear, seen.late):
        found.clear()
    start, gateway, load = time.monotonic(), _cpu_s(pid), time.process_time()
    loop.run(start + seconds)
    took = time.monotonic() - start
    shares = (_cpu_s(pid) - gateway) / took, (time.process_time() - load) / took
    if not all(line.caller.is_open and line.vendor.is_open for line in lines):
        raise ConnectionError("a call ended early")
    for line in lines:
        line.close()
    loop.close()
    return Findings(calls, took, *shares, seen)


def _cpu_s(pid: int) -> float:
    """User and system seconds that a process has taken (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
