"""The chat: a conversation with the project's model, and what is around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from phichat.errors import PhichatError
from phichat.screens.chat.conversation import Conversation, Turn
from phichat.screens.chat.desk import Desk
from phichat.screens.chat.keys import KEYS
from phichat.screens.chat.talk import TalkScreen
from phichat.screens.clipboard import Copy
from phichat.screens.session import Session, problem_of

if TYPE_CHECKING:
    from phichat.backends.base import ChatOptions
    from phichat.history import ConversationLog, Hit
    from phichat.screens.chat.messages import Said
    from phichat.screens.chat.options import OptionsPanel
    from phichat.screens.chat.sidebar import Row, Sidebar
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
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._panel: ModelPanel | None = None
        self._aside: Sidebar | OptionsPanel | None = None
        """What is open beside the conversation."""
        self._latest: str | None = None
        """The id of the conversation that was held last; empty: there is none; None: nobody has looked."""
        self._offered: tuple[str, ...] = ()
        """Held-out questions that the arrow keys bring."""

    class Looked(Message):
        """Which conversation was held last is known."""

        def __init__(self, conversation_id: str) -> None:
            super().__init__()
            self.conversation_id = conversation_id

    class Opened(Message):
        """A stored conversation is read, to be shown from its end or where something was found."""

        def __init__(self, log: ConversationLog, hit: Row | None = None) -> None:
            super().__init__()
            self.log = log
            self.hit = hit

    class Elsewhere(Message):
        """What was found is in another version of the conversation than was shown."""

    def body(self) -> ComposeResult:
        with Horizontal(id="room"), Vertical(id="talk"):
            yield self._transcript
            yield Desk(self._prompt, lambda: self._folder)

    def on_mount(self) -> None:
        self._prompt.focus()

    async def session_changed(self) -> None:
        self._transcript.show_session()
        if not self.conversation.turns and self.session.questions != self._offered:
            self._offered = self.session.questions
            self._prompt.remember([*reversed(self._offered)])
        if self._latest is None and self.session.project:
            self._latest = ""
            self._look_back()
        if self._panel is None and self.session.readiness.obstacle:
            from phichat.screens.panels import ModelPanel

            self._panel = ModelPanel(self.session)
            await self.query_one(Desk).mount(self._panel, before=self._prompt)
        if self._panel:
            await self._panel.show()

    async def settle_options(self, log: ConversationLog) -> ChatOptions | None:
        held = self.conversation
        if held.system is not None and held.system != log.conversation.system:
            await log.instruct(held.system)
        return held.options or self.session.options()

    # Typing

    async def on_key(self, event: events.Key) -> None:
        """Letters and digits go to the prompt, unless they mean something to what has the focus."""
        # A number leads to another screen only from where nobody types.
        free = event.key.isdigit() or event.key not in self.active_bindings
        if event.is_printable and event.character and free:
            event.stop()
            await self._type(event.character)

    async def on_paste(self, event: events.Paste) -> None:
        """A text goes to the prompt, whatever has the focus."""
        if not self._prompt.has_focus:
            await self._type(event.text)

    async def _type(self, text: str) -> None:
        if self.has_class("-narrow"):
            await self._close_aside()
        self._focus_prompt()
        self._prompt.insert(text)

    def _focus_prompt(self) -> None:
        self._prompt.focus()
        if not self._prompt.has_focus:  # it comes into sight only with the next refresh
            self.call_after_refresh(self._prompt.focus)

    # Files

    async def completed(self, written: str) -> str | None:
        if "@" not in written:
            return written
        from phichat.screens.chat.attaching import attached

        with self._told("Not attached"):
            return await asyncio.to_thread(attached, written, self._folder)
        return None

    @property
    def _folder(self) -> Path:
        project = self.session.project
        return (project.root if project else None) or Path.cwd()

    # What the keys do

    async def action_new(self) -> None:
        """Begin an empty conversation."""
        await self._open(Conversation())
        self._focus_prompt()

    async def action_to_prompt(self) -> None:
        """Go back to the prompt, out of what is open beside it."""
        from phichat.screens.chat.sidebar import Sidebar

        if isinstance(self._aside, Sidebar) and self._aside.end():
            return
        await self._close_aside()
        self._focus_prompt()

    def action_copy(self) -> None:
        """Copy the last answer."""
        answers = [turn.answer for turn in self.conversation.turns if turn.answer]
        if answers:
            self.post_message(Copy(answers[-1], "The last answer"))

    async def action_chats(self) -> None:
        """Show the earlier conversations, or put them away."""
        from phichat.screens.chat.sidebar import Sidebar

        if isinstance(self._aside, Sidebar):
            await self._close_aside()
            self._focus_prompt()
            return
        sidebar = Sidebar(self.session)
        sidebar.current = self.conversation.log.conversation.id if self.conversation.log else ""
        await self._put_aside(sidebar)
        sidebar.query_one("#chats-search").focus()

    async def action_options(self) -> None:
        """Show how the model is to answer, or put it away."""
        from phichat.screens.chat.options import OptionsPanel

        if isinstance(self._aside, OptionsPanel):
            await self._close_aside()
            self._focus_prompt()
            return
        panel = OptionsPanel(*self._options())
        await self._put_aside(panel)
        panel.query_one("#option-temperature").focus()

    def action_compare(self) -> None:
        """Ask two models at once."""
        from phichat.screens.compare.screen import CompareScreen

        self.app.push_screen(CompareScreen(self.session))

    def action_answerer(self) -> None:
        """Choose who answers: the deployment, or the flow server."""
        from phichat.screens.chat.answerers import AnswererScreen

        self.app.push_screen(AnswererScreen(self.session))

    def action_recall(self) -> None:
        """Attach what was said in other conversations to the next question."""
        from phichat.screens.chat.recalling import RecallScreen

        project, desk = self.session.project, self.query_one(Desk)
        assert project is not None

        def attach(hits: list[Hit] | None) -> None:
            self.call_later(desk.attach, hits or ())

        self.app.push_screen(
            RecallScreen(project.conversations, self.conversation.log, desk.attached), attach
        )

    def attachments(self) -> Sequence[Hit]:
        desk = self.query_one(Desk)
        taken = desk.attached
        self.call_later(desk.attach, ())
        return taken

    async def _take_back(self, turn: Turn) -> None:
        await super()._take_back(turn)
        await self.query_one(Desk).attach(turn.attach)

    def action_resume(self) -> None:
        """Go on with the conversation that was held last."""
        if self._latest:
            self._read(self._latest)

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

    async def action_on(self) -> None:
        """Scroll down; from the bottom of what is shown, into the later turns."""
        view = self._transcript
        if view.later and view.scroll_y >= view.max_scroll_y:
            await view.load_later()
            self.refresh_bindings()
        self.call_after_refresh(view.scroll_page_down, animate=False)

    async def action_end(self) -> None:
        """Go to the end, and follow it from there."""
        if self._transcript.later:
            await self._transcript.show(self.conversation)
            self.refresh_bindings()
        self._transcript.anchor()

    async def on_said_learn(self, event: Said.Learn) -> None:
        """Make an answer a row of data, and say how to train on it."""
        from phichat.workflow.collecting import COLLECTED, collect

        project, log = self.session.project, self.conversation.log
        if not (project and log):
            return
        path = project.state / COLLECTED
        with self._told("Not added"):
            rows = await asyncio.to_thread(collect, log.transcript, event.turn.answer_id, path)
            where = path.relative_to(project.root) if project.root else path
            told = f"Row {rows} of {where}. To train on it: phichat data {where}"
            self.notify(told, title="To data", timeout=10, markup=False)

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
            case "again" | "go_on" if self._aside or self.focused not in (None, self._prompt):
                return False  # what has the focus is nearer
            case "chats" | "options" | "compare" | "recall":
                return self.session.project is not None
            case "answerer":
                return self.session.readiness.phase == "ready"
            case "resume":
                return last is None and bool(self._latest)
            case "to_prompt":
                return self._aside is not None or not self._prompt.has_focus
        return super().check_action(action, parameters)

    # Beside the conversation

    async def on_sidebar_opened(self, event: Sidebar.Opened) -> None:
        if self.conversation.running:
            self.notify("Wait for the answer, or stop it.", timeout=4)
            return
        if self.has_class("-narrow"):
            await self._close_aside()
        self._read(event.row.conversation.id, event.row)

    async def on_sidebar_renamed(self, event: Sidebar.Renamed) -> None:
        log = self.conversation.log
        if log and log.conversation.id == event.conversation_id:
            with self._told("Not renamed"):
                await log.rename(event.title)

    def on_options_panel_changed(self, event: OptionsPanel.Changed) -> None:
        self.conversation.options, self.conversation.system = event.options, event.system

    def on_options_panel_reset(self) -> None:
        project = self.session.project
        assert project is not None
        self.conversation.options = None
        self.conversation.system = project.config.chat.system
        self._fill_options()

    def _options(self) -> tuple[ChatOptions, str]:
        """How the next answer will be asked for, and with which system prompt."""
        held = self.conversation
        kept = held.log.conversation.system if held.log else self.session.system
        return held.options or self.session.options(), kept if held.system is None else held.system

    def _fill_options(self) -> None:
        from phichat.screens.chat.options import OptionsPanel

        if isinstance(self._aside, OptionsPanel):
            self._aside.fill(*self._options())

    async def _put_aside(self, aside: Sidebar | OptionsPanel) -> None:
        from phichat.screens.chat.sidebar import Sidebar

        await self._close_aside()
        self._aside = aside
        self.add_class("-aside")
        await self.query_one("#room").mount(aside, before=0 if isinstance(aside, Sidebar) else None)
        self.refresh_bindings()

    async def _close_aside(self) -> None:
        if self._aside:
            aside, self._aside = self._aside, None
            await aside.remove()
            self.remove_class("-aside")
            self.refresh_bindings()

    # Stored conversations

    @work(group="history", exclusive=True, exit_on_error=False)
    async def _look_back(self) -> None:
        """Find the conversation that was held last."""
        project = self.session.project
        assert project is not None
        try:
            page = await project.history.page(project=str(project.root or ""), limit=1)
        except PhichatError:
            return  # whoever asks something is told
        if page.conversations:
            self.post_message(self.Looked(page.conversations[0].id))

    def on_chat_screen_looked(self, event: Looked) -> None:
        self._latest = event.conversation_id
        self.refresh_bindings()

    @work(group="history", exclusive=True, exit_on_error=False)
    async def _read(self, conversation_id: str, hit: Row | None = None) -> None:
        """Read a stored conversation; with a message that is on another branch, on that one."""
        try:
            log = await self.session.conversation(conversation_id)
            if hit and hit.message_id and hit.message_id not in {message.id for message in log.branch}:
                await log.show(hit.message_id)
                self.post_message(self.Elsewhere())
            self.post_message(self.Opened(log, hit if hit and hit.message_id else None))
        except Exception as error:
            self.post_message(self.Failed(Turn("", state="failed"), problem_of(error)))

    def on_chat_screen_elsewhere(self) -> None:
        self.notify("It is in another version of this conversation, which is shown now.", timeout=6)

    async def on_chat_screen_opened(self, event: Opened) -> None:
        """Go on with a stored conversation; a question that nobody answered waits in the prompt."""
        from phichat.screens.chat.branches import options_of, put_back

        question = put_back(event.log)
        conversation = Conversation(log=event.log, options=options_of(event.log.transcript))
        conversation.read()
        await self._open(conversation)
        if not event.hit:
            self._focus_prompt()
        self._prompt.remember([turn.question for turn in conversation.turns])
        if question and not self._prompt.text:
            self._prompt.put(question)
        if event.hit:
            await self._go_to_hit(event.log, event.hit)

    async def _go_to_hit(self, log: ConversationLog, hit: Row) -> None:
        """Show the message that a search has found, and the place in it."""
        from phichat.screens.chat.branches import share_of, where_said

        turn = where_said(self.conversation.turns, log.transcript, hit.message_id)
        if turn is None:  # as a question that nobody answered: it is in the prompt
            self._focus_prompt()
            return
        answer = turn.answer_id == hit.message_id
        share = share_of(turn.answer if answer else turn.question, hit.snippet)
        await self._transcript.show_message(turn, answer=answer, share=share)
        self.refresh_bindings()

    async def _open(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self._end_change()
        self._fill_options()
        await self._transcript.show(conversation)
        self.refresh_bindings()
