"""The chat: a conversation with the project's model, and what is around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from phichat.screens.conversation import Conversation
from phichat.screens.session import Session
from phichat.screens.talk import TalkScreen

if TYPE_CHECKING:
    from phichat.screens.messages import Said
    from phichat.screens.panels import ModelPanel


class ChatScreen(TalkScreen):
    """One conversation with the project's model."""

    stage = "chat"

    HELP = """
## Chat

Type a question below. The answer appears while it is written; Escape stops it and keeps what is there.
Shift+Tab goes up into the conversation, where single messages can be copied, changed and asked again.
"""
    BINDING_GROUP_TITLE = "Chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+n",
            "new",
            "New chat",
            tooltip="Begin an empty conversation.",
            id="chat.new",
            show=False,
        ),
        Binding("ctrl+o", "copy", "Copy", tooltip="Copy the last answer.", id="chat.copy", show=False),
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

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._panel: ModelPanel | None = None

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
        active = self.active_bindings.get(event.key)
        if event.is_printable and event.character and (active is None or active.node is self.app):
            event.stop()
            self._prompt.focus()
            self._prompt.insert(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A text goes to the prompt, whatever has the focus."""
        if not self._prompt.has_focus:
            self._prompt.focus()
            self._prompt.insert(event.text)

    # What the keys do

    async def action_new(self) -> None:
        """Begin an empty conversation."""
        await self._open(Conversation())

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

    def on_said_copy(self, event: Said.Copy) -> None:
        self._copy(event.text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        last = self.conversation.last
        match action:
            case "new":
                return last is not None and not last.running
            case "copy":
                return any(turn.answer for turn in self.conversation.turns)
            case "earlier":
                return self._transcript.hidden > 0
        return super().check_action(action, parameters)

    async def open(self, conversation_id: str) -> None:
        """Go on with a stored conversation; a question at its end that nobody answered waits in the prompt.

        Raises:
            NotFoundError: there is no such conversation.
            HistoryError: it cannot be read.
        """
        from phichat.screens.branches import put_back

        log = await self.session.conversation(conversation_id)
        question = put_back(log)
        conversation = Conversation(log=log)
        conversation.read()
        await self._open(conversation)
        self._prompt.remember([turn.question for turn in conversation.turns])
        if question and not self._prompt.text:
            self._prompt.put(question)

    async def _open(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self._end_change()
        await self._transcript.show(conversation)
        self._prompt.focus()
        self.refresh_bindings()

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify("Sent to the clipboard of your terminal.", timeout=2)
