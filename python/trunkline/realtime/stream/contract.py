"""The stream contract, for every provider that can open a session."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import single
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.realtime.stream.stream import ProviderStream


class StreamContract:
    """Gives a provider with `connect` its `process_audio_stream` and `aclose`."""

    @asynccontextmanager
    async def process_audio_stream(
        self: RealtimeProvider,
        audio_in: AsyncIterable[bytes],
        config: ProcessConfig | None = None,
        *,
        buffer_ms: float = 60_000,
        drain_timeout: float = 30.0,
        tool_timeout: float = 20.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[ProviderStream]:
        """Run one session between two streams: `async with provider.process_audio_stream(audio_in, config) as stream`.

        Both outputs end when the input ends and the model has said what it still had to say, when the session ends, and when the block is
        left, which cancels all that runs. If the input ends while the user is speaking, silence is sent until the vendor has noticed; where
        the vendor reports no speech, until it answers. The input is taken in from the beginning, also while the session is being opened.

        Args:
            audio_in: The user's audio, any number of bytes at a time, in `config.input_format`, or else in PCM16 mono at the provider's
                input rate. An async generator is closed at the end, anything else is left as it is.
            config: How the session should be; `functions` and `on_function_call` run the tools.
            buffer_ms: How much audio may wait on each side, in milliseconds; then the producer waits, and nothing is lost.
            drain_timeout: Seconds that the model has after the input has ended.
            tool_timeout: Seconds that a tool has.
            clock: Where time comes from.

        Raises:
            ProviderError: No session could be opened; the class says why.
            InvalidConfig: The configuration asks for what the vendor does not have.
        """
        config = config or ProcessConfig()
        stream = ProviderStream(
            self, config, buffer_ms=buffer_ms, drain_timeout=drain_timeout, tool_timeout=tool_timeout, clock=clock
        )
        failure: Exception | None = None
        async with anyio.create_task_group() as listening:
            listening.start_soon(stream.listen, audio_in, name="trunkline stream source")
            try:
                async with self.connect(config) as session, anyio.create_task_group() as tasks:
                    tasks.start_soon(stream.converse, session, name="trunkline stream")
                    try:
                        yield stream
                    except Exception as error:  # noqa: BLE001 - raised below, where no task group wraps it
                        failure = error
                    tasks.cancel_scope.cancel()
            except Exception as error:  # noqa: BLE001 - likewise
                failure = failure or single(error)
            finally:
                stream.end()
            listening.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def aclose(self) -> None:
        """Release what the provider keeps between sessions: nothing, unless it says otherwise."""

    async def close(self) -> None:
        """The same as `aclose`."""
        await self.aclose()
