"""The chat: ask, read the answer while it is written, stop it, ask on."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.worker import Worker

from phichat.screens.conversation import Conversation, Turn
from phichat.screens.prompt import Prompt
from phichat.screens.session import Session, problem_of
from phichat.screens.stage import StageScreen
from phichat.screens.transcript import Transcript

if TYPE_CHECKING:
    from phichat.errors import PhichatError
    from phichat.events import Reply
    from phichat.history import ConversationLog
    from phichat.screens.messages import Said
    from phichat.screens.panels import ModelPanel

PLACEHOLDER = "Ask something"
RATE_AFTER_S = 0.5
"""A rate of fewer tokens than come in this time says nothing."""


class ChatScreen(StageScreen):
    """One conversation with the project's model."""

    stage = "chat"

    HELP = """
## Chat

Type a question below. The answer appears while it is written; Escape stops it and keeps what is there.
Shift+Tab goes up into the conversation, where single messages can be copied.
"""
    BINDING_GROUP_TITLE = "Chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape,ctrl+c", "stop", "Stop", tooltip="Stop the answer; keep what is there.", id="chat.stop"
        ),
        Binding(
            "escape", "to_prompt", "Prompt", tooltip="Go back to the prompt.", id="chat.prompt", show=False
        ),
        Binding(
            "ctrl+r", "retry", "Try again", tooltip="Ask the same once more.", id="chat.retry", show=False
        ),
        Binding("ctrl+n", "new", "New chat", tooltip="Begin an empty conversation.", id="chat.new"),
        Binding("ctrl+o", "copy", "Copy", tooltip="Copy the last answer.", id="chat.copy"),
        Binding(
            "ctrl+l",
            "earlier",
            "Earlier turns",
            tooltip="Show more of the beginning.",
            id="chat.earlier",
            show=False,
        ),
        Binding("pageup", "back", "Page up", tooltip="Read what is above.", id="chat.up", show=False),
        Binding("pagedown", "on", "Page down", tooltip="Read what is below.", id="chat.down", show=False),
        Binding(
            "ctrl+end", "end", "To the end", tooltip="Follow the answer again.", id="chat.end", show=False
        ),
    ]

    class Asked(Message):
        """The question is with the model."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn

    class Spoke(Asked):
        """A piece of the answer has come."""

        def __init__(self, turn: Turn, piece: str) -> None:
            super().__init__(turn)
            self.piece = piece

    class Answered(Asked):
        """The answer is whole."""

        def __init__(self, turn: Turn, reply: Reply) -> None:
            super().__init__(turn)
            self.reply = reply

    class Failed(Asked):
        """The answer will not come, or not whole."""

        def __init__(self, turn: Turn, problem: PhichatError) -> None:
            super().__init__(turn)
            self.problem = problem

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.conversation = Conversation()
        self._log: ConversationLog | None = None
        """The same in the history; None before its first question."""
        self._transcript = Transcript(session)
        self._panel: ModelPanel | None = None
        self._prompt = Prompt(placeholder=PLACEHOLDER)
        self._worker: Worker[None] | None = None
        self._first_piece = 0.0
        self._pieces = 0

    def body(self) -> ComposeResult:
        yield self._transcript
        with Vertical(id="desk"):
            yield self._prompt

    def on_mount(self) -> None:
        self._prompt.focus()

    async def session_changed(self) -> None:
        self._transcript.show_session()
        if self._panel is None and self.session.readiness.obstacle:
            from phichat.screens.panels import ModelPanel

            self._panel = ModelPanel(self.session)
            await self.query_one("#desk").mount(self._panel, before=self._prompt)
        if self._panel:
            await self._panel.show()

    # Typing

    def on_key(self, event: events.Key) -> None:
        """Letters and digits go to the prompt, unless they mean something to what has the focus."""
        free = event.key.isdigit() or event.key not in self.active_bindings
        if event.is_printable and event.character and free:
            event.stop()
            self._prompt.focus()
            self._prompt.insert(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A text goes to the prompt, whatever has the focus."""
        if not self._prompt.has_focus:
            self._prompt.focus()
            self._prompt.insert(event.text)

    # A turn

    async def on_prompt_sent(self) -> None:
        if self.conversation.running:
            self.notify("What you wrote is kept: wait for the answer, or stop it.", timeout=4)
            return
        await self._ask(self._prompt.take())

    async def _ask(self, question: str) -> None:
        turn = self.conversation.ask(question)
        await self._transcript.add(turn)
        self._worker = self._answer(turn)
        self.refresh_bindings()

    @work(group="answer", exclusive=True, exit_on_error=False)
    async def _answer(self, turn: Turn) -> None:
        """Let the project answer, and say how that goes."""
        try:
            deployment = await self.session.deployment()
            self.post_message(self.Asked(turn))
            log = self._log = self._log or await self.session.conversation()
            turn.kept = (await self.session.ask(log, turn.question)).id
            parts = self.session.answer(log, deployment)
            async with contextlib.aclosing(parts):
                async for part in parts:
                    if part.kind == "piece":
                        self.post_message(self.Spoke(turn, part.text))
                    else:
                        self.post_message(self.Answered(turn, part))
        except Exception as error:
            self.post_message(self.Failed(turn, problem_of(error, self.session.backend)))

    async def on_chat_screen_asked(self, event: Asked) -> None:
        if event.turn.state == "waiting":
            event.turn.state = "answering"
            self._pieces = 0
            await self._show(event.turn, "reading")

    async def on_chat_screen_spoke(self, event: Spoke) -> None:
        turn = event.turn
        if not turn.running:  # it was stopped while this piece was on its way
            return
        turn.answer += event.piece
        if view := self._transcript.view(turn):
            view.feed(event.piece)
        self._pieces += 1
        if self._pieces == 1:
            self._first_piece = monotonic()
            await self._show(turn, "answering")
        elif (elapsed := monotonic() - self._first_piece) > RATE_AFTER_S:
            self.bar.activity = f"answering, ~{(self._pieces - 1) / elapsed:.0f} tokens/s"

    async def on_chat_screen_answered(self, event: Answered) -> None:
        if event.turn.running:
            event.turn.reply = event.reply
            event.turn.state = "done"
            await self._show(event.turn)

    async def on_chat_screen_failed(self, event: Failed) -> None:
        if event.turn.running:
            event.turn.problem = event.problem
            event.turn.state = "failed"
            if not event.turn.answer:
                self._step_back(event.turn)
            await self._show(event.turn)
        else:  # the answer is there, but could not be kept
            self.notify(event.problem.message, title="Not kept", severity="error", timeout=10)

    async def _show(self, turn: Turn, activity: str = "") -> None:
        """Show the state of a turn wherever it is to be seen."""
        if view := self._transcript.view(turn):
            await view.settle()
        self.bar.activity = activity
        self.bar.show()
        self.refresh_bindings()

    # What the keys do

    async def action_stop(self) -> None:
        """Stop the answer; a question that nothing was said to goes back to the prompt."""
        turn = self.conversation.running
        if turn is None:
            return
        if self._worker:
            self._worker.cancel()
        turn.state = "stopped"
        if not turn.answer:
            self._step_back(turn)
            await self._take_back(turn)
        await self._show(turn)

    async def action_retry(self) -> None:
        """Ask the question that failed once more."""
        turn = self.conversation.last
        if turn and turn.state == "failed":
            self._step_back(turn)
            self.conversation.drop(turn)
            await self._transcript.drop(turn)
            await self._ask(turn.question)

    async def action_new(self) -> None:
        """Begin an empty conversation."""
        self.conversation, self._log = Conversation(), None
        await self._transcript.show(self.conversation)
        self._prompt.focus()
        self.refresh_bindings()

    def action_copy(self) -> None:
        """Copy the last answer."""
        answers = [turn.answer for turn in self.conversation.turns if turn.answer]
        if answers:
            self._copy(answers[-1])

    async def action_earlier(self) -> None:
        """Show more of the earlier turns."""
        await self._transcript.load_earlier()
        self.refresh_bindings()

    async def action_back(self) -> None:
        """Scroll up; from the top of what is shown, into the earlier turns."""
        view = self._transcript
        if view.scroll_y == 0 and view.hidden:
            await self.action_earlier()
        # After the refresh in which the earlier turns get their place.
        self.call_after_refresh(view.scroll_page_up, animate=False)

    def action_on(self) -> None:
        """Scroll down."""
        self._transcript.scroll_page_down(animate=False)

    def action_end(self) -> None:
        """Go to the end, and follow it from there."""
        self._transcript.anchor()

    def action_to_prompt(self) -> None:
        """Go back to the prompt."""
        self._prompt.focus()

    def on_said_copy(self, event: Said.Copy) -> None:
        self._copy(event.text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        last = self.conversation.last
        match action:
            case "stop":
                return self.conversation.running is not None
            case "to_prompt":
                return not self._prompt.has_focus
            case "retry":
                return last is not None and last.state == "failed"
            case "new":
                return last is not None and not last.running
            case "copy":
                return any(turn.answer for turn in self.conversation.turns)
            case "earlier":
                return self._transcript.hidden > 0
        return super().check_action(action, parameters)

    def _step_back(self, turn: Turn) -> None:
        """Let the model not be shown a turn again; the history keeps it."""
        if self._log and turn.kept:
            self._log.retry(turn.kept)

    async def _take_back(self, turn: Turn) -> None:
        self.conversation.drop(turn)
        await self._transcript.drop(turn)
        if not self._prompt.text:
            self._prompt.put(turn.question)

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify("Sent to the clipboard of your terminal.", timeout=2)
