"""The gateway that is measured, in a process of its own: tells its address, serves until its input ends."""

import argparse
import sys
from pathlib import Path

import anyio
import anyio.to_thread

from benches.bridge.samples import Sampler
from trunkline.gateway import CallSession, pace_garbage_collection
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider


async def watch(session: CallSession) -> None:
    """Read a call's events, as an application does."""
    async for _ in session.events():
        pass


async def serve(vendor: str) -> None:
    provider = OpenAIRealtimeProvider(api_key="sk-bench", base_url=vendor, proxy=None)
    gateway = TwilioGateway(
        verify_signatures=False,
        listen_addr="127.0.0.1:0",
        realtime_provider=provider,
        max_concurrent_calls=1000,
        stop_timeout=0,
    )
    gateway.on_session(watch)
    async with anyio.create_task_group() as tasks, gateway:
        tasks.start_soon(pace_garbage_collection)
        print(gateway.url, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.bridge.gateway", description=__doc__)
    parser.add_argument("vendor", help="the realtime API's address")
    parser.add_argument("--backend", default="asyncio", choices=("asyncio", "uvloop", "trio"))
    parser.add_argument("--profile", type=Path, help="where samples of its stack go")
    options = parser.parse_args()
    sampler = Sampler()
    if options.profile:
        sampler.start()
    backend = "asyncio" if options.backend == "uvloop" else options.backend
    wanted = {"use_uvloop": True} if options.backend == "uvloop" else {}
    anyio.run(serve, options.vendor, backend=backend, backend_options=wanted)
    if options.profile:
        sampler.stop(options.profile)


if __name__ == "__main__":
    main()
