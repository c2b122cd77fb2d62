"""Opens the sessions of one conversation, with the first provider that can."""

from dataclasses import replace

import anyio.abc

from trunkline.clock import Clock
from trunkline.errors import AllProvidersFailed, ConnectionFailed, ProviderError
from trunkline.realtime.events import ErrorReported
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.realtime.reconnect.candidates import Candidates
from trunkline.realtime.reconnect.policy import SessionPolicy, may_retry, reason_to_stop
from trunkline.realtime.session_task import SessionTask, Take, as_provider_error

SAME_MOMENT = 0.001
"""Seconds by which a clock may miss the moment until which it slept."""


class SessionOpener:
    """Knows which providers a conversation may still go on with, and which sessions of it are open.

    Args:
        candidates: The client's providers.
        policy: What the conversation goes by.
        tasks: Where the sessions run.
        clock: Where time comes from.
        take: Gets the events of all sessions.
    """

    def __init__(
        self,
        candidates: Candidates,
        policy: SessionPolicy,
        *,
        tasks: anyio.abc.TaskGroup,
        clock: Clock,
        take: Take,
    ) -> None:
        self._candidates = candidates
        self._policy = policy
        self._tasks = tasks
        self._clock = clock
        self._take = take
        self._opened: list[SessionTask] = []
        self._given_up: set[int] = set()
        self._failures: list[tuple[str, Exception]] = []

    async def open_first(self, config: ProcessConfig) -> SessionTask:
        """The session that a conversation begins with. What no other provider may be asked for is raised at once.

        Raises:
            ProviderUnavailable: There is no provider.
            AllProvidersFailed: Several were tried, and none could.
            ProviderError: The only one failed, or one refused what no other should be asked for.
            InvalidConfig: Likewise.
        """
        self._candidates.first()
        order = self._candidates.in_order()
        return await self._open(config, order, resumes=order[0], is_first=True)

    async def open_spare(self, config: ProcessConfig, present: RealtimeProvider) -> SessionTask:
        """The session that replaces one which still serves.

        Raises:
            ProviderError: None can be had at the moment.
        """
        return await self._open(config, self._left(present, after=None), resumes=present)

    async def open_next(self, config: ProcessConfig, lost: RealtimeProvider) -> SessionTask:
        """The session that follows one which is gone: with the next provider if possible, with the same one at last.

        Raises:
            ProviderError: None can be had at the moment.
        """
        order = self._left(lost, after=lost)
        order = [one for one in order if self._candidates.asked_wait(one) <= SAME_MOMENT]
        return await self._open(config, order, resumes=lost)

    def wait_for_next(self, lost: RealtimeProvider) -> float:
        """Seconds until a provider may be asked for a session to follow one which is gone; infinity if none is left."""
        return min(map(self._candidates.asked_wait, self._left(lost, after=lost)), default=float("inf"))

    def lost(self, task: SessionTask, error: ProviderError, *, for_good: bool) -> None:
        """A session is gone; `for_good` if its provider is not to be asked again in this conversation."""
        task.close()
        self._candidates.broke(task.provider, error)
        if for_good or not may_retry(error):
            self._given_up.add(id(task.provider))

    def answered(self, task: SessionTask) -> None:
        """A session was of use."""
        self._candidates.answered(task.provider)

    def taken_over(self, old: SessionTask, new: SessionTask) -> None:
        """A session follows one which was lost."""
        self._candidates.failovers += new.provider is not old.provider

    def reports(self) -> list[ErrorReported]:
        """The attempts that failed since this was last asked, to be told by the session that came of it in the end."""
        failures, self._failures = self._failures, []
        return [ErrorReported(as_provider_error(error, name)) for name, error in failures]

    def close(self) -> None:
        """Let all sessions go."""
        for task in self._opened:
            task.close()

    async def wait_closed(self) -> None:
        """After `close`, wait until nothing is left of them."""
        for task in self._opened:
            await task.over.wait()

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _left(self, present: RealtimeProvider, *, after: RealtimeProvider | None) -> list[RealtimeProvider]:
        """The providers that this conversation may go on with."""
        order = self._candidates.in_order(after) if self._policy.failover else [present]
        return [one for one in order if id(one) not in self._given_up]

    async def _open(
        self,
        config: ProcessConfig,
        order: list[RealtimeProvider],
        *,
        resumes: RealtimeProvider,
        is_first: bool = False,
    ) -> SessionTask:
        """A session of the first of these providers that can; it says nothing until `SessionTask.read` is called.

        Only `resumes` is given `config.resume_handle`, which is of a session of its own.
        """
        failures: list[tuple[str, Exception]] = []
        for provider in order:
            wanted = config if provider is resumes else replace(config, resume_handle=None)
            task = SessionTask(provider, wanted)
            self._opened = [*(other for other in self._opened if not other.over.is_set()), task]
            self._tasks.start_soon(task.run, self._take, name=f"trunkline session with {provider.name}")
            began = self._clock.now()
            try:
                await task.wait_ready(self._policy.connect_timeout, self._clock)
            except Exception as error:
                self._candidates.not_opened(provider, error, began)
                failures.append((provider.name, error))
                if is_first and (reason := reason_to_stop(error)) is not None:
                    if reason is error:
                        raise
                    raise reason from error
                if not (is_first or may_retry(error)):
                    self._given_up.add(id(provider))
            else:
                self._candidates.opened(provider, began)
                self._failures += failures
                return task
        self._failures += failures
        if len(failures) == 1:
            raise as_provider_error(failures[0][1], failures[0][0])
        if not failures:
            raise ConnectionFailed("no provider is left that may take the conversation up")
        raise AllProvidersFailed(failures) from failures[-1][1]
