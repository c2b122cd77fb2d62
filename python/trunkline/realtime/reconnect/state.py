"""All that a conversation's next session must know: kept from what its sessions said and what was said to them."""

from typing import Literal

from trunkline.audio import AudioFormat
from trunkline.conversation import HistoryItem, pending_calls
from trunkline.errors import LocalProtocolError
from trunkline.realtime import events
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.reconnect.audio_replay import AudioReplay, ReplayCursor
from trunkline.realtime.reconnect.history import History
from trunkline.realtime.reconnect.trailing_silence import TrailingSilence
from trunkline.realtime.reconnect.turn_state import ResponseRequest, TurnState


class ConversationState:
    """What was said, by whom, what is due, and what was not understood yet. Times are seconds of whatever clock the caller reads.

    Args:
        config: What the conversation begins with.
        input_format: What the caller's audio is, until `use_input` says otherwise.
        replay_seconds: How much of the caller's audio is kept at most.
        now: When it begins.

    Attributes:
        resume_handle: What takes the present session up with all that the history holds; None where the history must be told.
        revision: Changes with everything that a session which is being connected would have to know; not with the audio and the words of
            a running answer, which a session that takes over cuts anyway.
    """

    def __init__(self, config: ProcessConfig, *, input_format: AudioFormat, replay_seconds: float, now: float) -> None:
        self.history = History(config.history)
        self.turns = TurnState(now)
        self.replay = AudioReplay(input_format, seconds=replay_seconds)
        self.silence = TrailingSilence(input_format)
        self.resume_handle: str | None = None
        self.revision = 0
        self._calls: dict[str, Literal["open", "answered", "taken back"]] = dict.fromkeys(
            pending_calls(config.history), "open"
        )
        self._calls_here: set[str] = set()
        self._heard_item, self._heard_ms = "", 0.0

    # ── the vendor's side ────────────────────────────────────────────────────────────────────────────────────────────

    def begin_session(self, audio: AudioFormat, able: Capabilities, now: float) -> None:
        """A session takes the conversation up.

        Args:
            audio: Its output format.
            able: What it can do.
            now: When.
        """
        self.history.begin_session()
        self.resume_handle = None
        self.turns.last_event = now
        self._reports_speech = able.reports_speech
        self._calls_here = set()
        self.use_output(audio)

    def use_output(self, audio_format: AudioFormat) -> None:
        """The session's audio is of this format from now on."""
        self._output_bytes_per_ms = audio_format.bytes_per_ms

    def hear_agent(self, event: events.AudioReceived, now: float) -> None:
        """Audio of an answer came. It reaches the history with the next other event, as pieces come often and words rarely."""
        ms = len(event.audio) / self._output_bytes_per_ms
        turns = self.turns
        turns.last_event = now
        turns.turn_waits = False
        turns.heard_until = (max(turns.heard_until, now)) + ms / 1000
        if event.item_id != self._heard_item:
            self._note_heard()
            self._heard_item = event.item_id
        self._heard_ms += ms

    def _note_heard(self) -> None:
        if self._heard_item:
            self.history.hear_agent(self._heard_item, self._heard_ms)
        self._heard_item, self._heard_ms = "", 0.0

    def follow(self, event: events.SessionEvent, now: float, *, given: ReplayCursor) -> None:
        """Something else came.

        Args:
            event: What, with times of the conversation.
            now: When.
            given: How far the session was given the caller's audio.
        """
        if isinstance(event, events.SessionResumable):
            self.resume_handle = event.handle
            return
        self._note_heard()
        is_asked = bool(self.turns.requests)
        self.turns.take(event, now)
        self.history.take(event)
        if isinstance(event, events.AgentTranscript):
            return
        self.revision += 1
        match event:
            case events.SpeechStarted():
                self.silence.reset()
            case events.SpeechStopped(item_id, audio_end_ms):
                self.replay.turn_ended(item_id, given.position_ms if audio_end_ms is None else audio_end_ms)
            case events.UserTranscript(is_final=True, item_id=item_id):
                self.replay.understood(item_id)
            case events.ResponseStarted(response_id):
                shows_turn = not (is_asked or self._reports_speech)
                self.replay.answer_began(response_id, unasked_at_ms=given.position_ms if shows_turn else None)
            case events.ResponseFinished(response_id, "completed"):
                self.replay.answer_completed(response_id)
            case events.ToolCallRequested(call_id):
                self._calls[call_id] = "open"
                self._calls_here.add(call_id)
            case events.ToolCallCancelled(call_id):
                self._calls[call_id] = "taken back"
            case _:
                pass

    def break_off(self, now: float) -> ResponseRequest | None:
        """The session is gone; returns the answer that the caller is due, if any."""
        self._note_heard()
        self.history.break_off()
        return self.turns.break_off(now)

    # ── the user's side ──────────────────────────────────────────────────────────────────────────────────────────────

    def use_input(self, audio_format: AudioFormat) -> None:
        """The caller's audio is of this format from now on."""
        self.replay.use(audio_format)
        self.silence = TrailingSilence(audio_format)

    def hear_user(self, audio: bytes) -> None:
        """The audio of a caller who speaks goes on; of one who does not, the replay alone need know."""
        self.replay.add(audio)
        self.silence.hear(audio)

    def write(self, text: str, now: float) -> None:
        """The user says something in text, and wants an answer."""
        self.resume_handle = None
        self.history.write(text)
        self.turns.request(ResponseRequest(is_implied=True), now)

    def answer_call(self, call_id: str, result: str, now: float) -> bool:
        """A tool call has its result; False if nobody wants it any more.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        state = self._calls.get(call_id)
        if state is None:
            raise LocalProtocolError(f"no tool call {call_id!r} was requested in this session")
        if state == "answered":
            raise LocalProtocolError(f"tool call {call_id!r} was answered before")
        self._calls[call_id] = "answered"
        if state == "taken back":
            return False
        self.resume_handle = None
        self.history.answer_call(call_id, result)
        self.turns.answer_call(call_id, now)
        return True

    def truncate(self, item_id: str, heard_ms: int) -> bool:
        """The caller heard only the first `heard_ms` of an item; False if it is of a session before the present one."""
        self._note_heard()
        return self.history.truncate(item_id, heard_ms)

    def items(self) -> tuple[HistoryItem, ...]:
        """What to tell a new session of what went before, oldest first."""
        self._note_heard()
        return self.history.items()

    def is_call_of_session(self, call_id: str) -> bool:
        """Whether a tool call was requested by the present session, not by one before it."""
        return call_id in self._calls_here
