"""Running the model's tool calls: every call gets exactly one answer, whatever the tool does."""

import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import ToolCall
from trunkline.errors import InvalidArguments, InvalidConfig, ToolError, ToolTimedOut, UnknownTool
from trunkline.tools.definition import ToolDefinition, ToolHandler
from trunkline.tools.schema import arguments_model, definition_of

logger = logging.getLogger("trunkline.tools")

Runner = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
"""Runs one call, given its id, the arguments as JSON text and the arguments read."""


class ToolDispatcher:
    """The tools of one call.

    Args:
        tools: Definitions, or plain functions, whose schema comes from their signature and which are called by argument name.
        handlers: For each definition by name, what runs it, called with one mapping of the arguments.
        on_function_call: Runs whatever has no handler; called with the call's id, the tool's name and the arguments as JSON text.
        timeout: Seconds that a tool may take.
        limit: How many tools of one call may run at once; further ones wait, and the wait counts.
        clock: What measures the time.

    Functions that are not `async` run in worker threads, so that a slow one never holds up the audio. A thread cannot be stopped: when its
    time is over the model is told, and the thread is left to finish on its own.
    """

    def __init__(
        self,
        tools: Iterable[ToolDefinition | Callable[..., Any]] = (),
        handlers: Mapping[str, ToolHandler] | None = None,
        *,
        on_function_call: Callable[[str, str, str], Any] | None = None,
        timeout: float = 20.0,
        limit: int = 8,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._timeout = timeout
        self._clock = clock
        self._threads = anyio.CapacityLimiter(limit)
        self._running = anyio.CapacityLimiter(limit)
        self._runners: dict[str, Runner] = {}
        self._on_function_call = on_function_call
        self.definitions = tuple(self._define(tool) for tool in tools)
        for name, handler in (handlers or {}).items():
            if not any(definition.name == name for definition in self.definitions):
                raise InvalidConfig("tool_handlers", f"there is a handler for {name!r} but no such tool")
            self._runners[name] = partial(self._run_handler, handler)

    async def run(self, call_id: str, name: str, arguments: str) -> ToolCall:
        """Run one call and tell what came of it; never raises but for cancellation.

        Args:
            call_id: The provider's id of the call.
            name: The tool's name.
            arguments: JSON text as the model wrote it.

        Returns:
            The call with `result`, the text for the model. If something failed, `error` says what, and `result` is that as JSON.
        """
        began = self._clock.now()
        values: Mapping[str, Any] = {}
        result, error = "", ""
        try:
            values = self._read(name, arguments)
            result = _as_text(name, await self._within_limits(call_id, name, arguments, values))
        except ToolError as failure:
            error = str(failure)
        except Exception as failure:
            logger.warning("tool %s failed", name, exc_info=True)
            error = str(failure) or type(failure).__name__
        if error:
            result = json.dumps({"error": error})
        duration_ms = round((self._clock.now() - began) * 1000)
        return ToolCall(name=name, arguments=values, result=result, error=error, duration_ms=duration_ms)

    def _read(self, name: str, arguments: str) -> Mapping[str, Any]:
        try:
            values = json.loads(arguments or "{}")
        except ValueError as failure:
            raise InvalidArguments(name, f"the arguments are not JSON: {failure}") from failure
        if not isinstance(values, dict):
            raise InvalidArguments(name, "the arguments are not a JSON object")
        return values

    async def _within_limits(self, call_id: str, name: str, arguments: str, values: Mapping[str, Any]) -> Any:
        runner = self._runners.get(name)
        if runner is None:
            if self._on_function_call is None:
                raise UnknownTool(name)
            runner = partial(self._run_on_function_call, self._on_function_call, name)
        with self._clock.move_on_after(self._timeout):
            async with self._running:
                return await runner(call_id, arguments, values)
        raise ToolTimedOut(name, self._timeout)

    def _define(self, tool: ToolDefinition | Callable[..., Any]) -> ToolDefinition:
        if isinstance(tool, ToolDefinition):
            return tool
        if not callable(tool):
            raise InvalidConfig("tools", f"a tool is a ToolDefinition or a function, not {type(tool).__name__}")
        definition = definition_of(tool)
        self._runners[definition.name] = partial(self._run_function, tool, arguments_model(tool))
        return definition

    async def _run_on_function_call(
        self,
        function: Callable[[str, str, str], Any],
        name: str,
        call_id: str,
        arguments: str,
        _values: Mapping[str, Any],
    ) -> Any:
        return await self._call(partial(function, call_id, name, arguments))

    async def _run_handler(
        self, handler: ToolHandler, _call_id: str, _arguments: str, values: Mapping[str, Any]
    ) -> Any:
        return await self._call(partial(handler, values))

    async def _run_function(
        self,
        function: Callable[..., Any],
        model: type[BaseModel],
        _call_id: str,
        _arguments: str,
        values: Mapping[str, Any],
    ) -> Any:
        try:
            checked = model.model_validate(values)
        except ValidationError as failure:
            first = failure.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidArguments(function.__name__, f"{where}: {first['msg']}") from failure
        named = {field: getattr(checked, field) for field in model.model_fields}
        return await self._call(partial(function, **named))

    async def _call(self, function: partial[Any]) -> Any:
        if inspect.iscoroutinefunction(function.func):
            return await function()
        result = await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=self._threads)
        return await result if inspect.isawaitable(result) else result


def _as_text(name: str, result: Any) -> str:
    if isinstance(result, str):
        return result
    try:
        return to_json(result).decode()
    except PydanticSerializationError as failure:
        raise ToolError(name, f"its result cannot be written as JSON: {failure}") from failure
