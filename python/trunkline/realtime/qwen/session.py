"""A session with Qwen-Omni-Realtime: OpenAI's protocol in its older dialect, without what this service does not have."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import HistoryItem
from trunkline.errors import InvalidConfig, LocalProtocolError, SessionClosed
from trunkline.realtime.openai.errors import ErrorMap
from trunkline.realtime.openai.session import SAY, OpenAIRealtimeSession
from trunkline.realtime.provider import Capabilities
from trunkline.realtime.qwen.inbound import QwenInbound
from trunkline.transport import MessageStream
from trunkline.wire.realtime.openai import commands as command
from trunkline.wire.realtime.openai.session import SessionInfo
from trunkline.wire.realtime.qwen.decode import parse
from trunkline.wire.realtime.qwen.history import instructions_with_history
from trunkline.wire.realtime.qwen.models import model_named
from trunkline.wire.realtime.qwen.schema import check_response, check_session
from trunkline.wire.realtime.qwen.session import INPUT, OUTPUT, check_model

QUIET_FOR = 240.0
"""Seconds without a message of ours after which one is sent: the service cuts a connection after 300, and does not count pings."""


def capabilities_of(model: str) -> Capabilities:
    """What sessions with a model can do at best."""
    rates = model_named(model).audio_rates
    return Capabilities(
        input_rate=INPUT.sample_rate,
        output_rate=OUTPUT.sample_rate,
        native_formats=tuple(AudioFormat(encoding="linear16", sample_rate=rate) for rate in rates),
        commit=True,
        clear=True,
        cancel=True,
        response_instructions=True,
        speaks_during_calls=False,  # nothing is known of a response between a call and its result
    )


class QwenRealtimeSession(OpenAIRealtimeSession):
    """One conversation; made by `QwenRealtimeProvider.connect`.

    You must iterate over it until it ends: that reads the socket, sends the requests for responses that had to wait, and keeps the session
    alive while nobody speaks. One task may iterate; the other methods may be called from any. `SessionEnded.reason` is "closed" (by this
    side), "closed_by_vendor", "user_idle_timeout", "too_many_audios" or "failed".

    Args:
        stream: Messages to and from the service, with the session already configured.
        info: What the service said the session is.
        model: The service's name of the model.
        history: What the instructions tell of the conversation so far.
        modalities: Those of the session.
        transcribe_output: Whether the answer's words are passed on.
        errors: Makes errors of what goes wrong.
        clock: Where time comes from.
        limit: Seconds after which the service ends every session, where it is known.
    """

    _parse = staticmethod(parse)
    _make_inbound = QwenInbound
    _inbound: QwenInbound

    def __init__(
        self,
        stream: MessageStream,
        info: SessionInfo,
        *,
        model: str,
        errors: ErrorMap,
        history: Sequence[HistoryItem] = (),
        modalities: Sequence[str] = ("text", "audio"),
        transcribe_output: bool = True,
        clock: Clock = SYSTEM_CLOCK,
        limit: float | None = None,
    ) -> None:
        super().__init__(stream, info, transcribe_output=transcribe_output, errors=errors, clock=clock, limit=limit)
        self._model = model
        self._history = tuple(history)
        self._modalities = list(modalities)
        self._sent_at = clock.now()

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do, by what the service last said of its turn detection."""
        info = self._inbound.info
        return replace(
            capabilities_of(self._model),
            reports_speech=info.detects_turns,
            commit=not info.detects_turns,
            interrupts_itself=info.interrupts,
            answers_turns=info.answers_turns,
        )

    async def say(self, text: str) -> None:
        """Let the agent speak exactly this sentence, as soon as no answer runs, the user does not speak and no tool call is open."""
        await self._want_response({"instructions": SAY.format(text=text)})

    async def create_response(
        self, instructions: str | None = None, *, options: Mapping[str, Any] | None = None
    ) -> None:
        """Ask for an answer, as soon as none is running, the user does not speak and all tool calls are answered.

        Args:
            instructions: What holds for this answer alone, in place of the session's.
            options: Further fields of `response.create`: `modalities`.

        Raises:
            InvalidConfig: There is no such field, or its value cannot be sent.
        """
        self._check_open()
        fields = dict(options or {})
        if instructions is not None:
            fields["instructions"] = instructions
        check_response(fields)
        await self._want_response(fields)

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none. It ends within five seconds, whatever the service says."""
        self._check_open()
        if self._responses.cancel() is None:
            return
        self._inbound.await_end()
        if self._waiting is not None:
            self._waiting.cancel()  # so that the reader waits no longer than that
        await self._send(command.cancel_response())

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """The service has no such command.

        Raises:
            LocalProtocolError: Always.
        """
        self._check_open()
        raise LocalProtocolError(f"item {item_id} keeps more than {heard_ms} ms: this service cannot truncate")

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on; what went before the session stays part of it."""
        await self.update_session({"instructions": instructions_with_history(instructions, self._history)})

    async def update_session(self, changes: Mapping[str, Any]) -> None:
        """Change what `changes` holds of the service's session object; a refusal comes as `ErrorReported` and changes nothing.

        Raises:
            InvalidConfig: There is no such field, or its value cannot be sent; the formats are settled when connecting.
        """
        self._check_open()
        check_session(changes)
        check_model({"modalities": self._modalities, **changes}, self._model)
        for name in ("input_audio_format", "output_audio_format", "audio"):
            if name in changes:
                raise InvalidConfig(f"session.{name}", "is settled when connecting")
        await self._send(command.update_session(changes))

    # ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        await super()._read()
        if self._inbound.must_stop:
            with suppress(SessionClosed):  # the next read says why
                await self._send(command.cancel_response())
            self._inbound.must_stop = False

    def _overdue_at(self) -> float | None:
        moments = (super()._overdue_at(), self._inbound.end_by, self._sent_at + QUIET_FOR)
        return min(moment for moment in moments if moment is not None)

    async def _overdue(self) -> None:
        now = self._clock.now()
        if self._inbound.end_by is not None and now >= self._inbound.end_by:
            self._inbound.end_cancelled()
        if self._answer_by is not None and now >= self._answer_by:
            self._responses.vendor_is_silent()
        if now >= self._sent_at + QUIET_FOR:
            with suppress(SessionClosed):
                await self._send(command.update_session({"modalities": self._modalities}))

    async def _send(self, message: str) -> None:
        self._sent_at = self._clock.now()
        await super()._send(message)
