"""The conversation on the screen: its latest turns, and the earlier ones when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from phichat.screens.chat.conversation import Conversation, Turn
from phichat.screens.keys import actions
from phichat.screens.session import Session

if TYPE_CHECKING:
    from phichat.screens.chat.messages import TurnView

TAIL = 10
"""Turns that are mounted: an answer is some twenty widgets, and each costs whenever focus or theme change."""
SLACK = 5
"""Turns that may gather beyond the tail before the oldest are taken away."""


class Welcome(Vertical):
    """An empty conversation: whom one talks to, and how to begin."""

    KEYS = (
        "prompt.send",
        "prompt.newline",
        "chat.resume",
        "chat.chats",
        "chat.options",
        "chat.compare",
        "app.help",
        "app.palette",
        "app.quit",
    )

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._questions: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Ask a question", id="welcome-title")
            yield Static(id="welcome-model")
            yield Static(id="welcome-keys")

    def on_mount(self) -> None:
        self.show()
        # The keys are known when the screen has the focus somewhere, and may be rebound by the config.
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._show_keys())

    def show(self) -> None:
        """Show the session as it is now."""
        if self._session.project:
            text = f"{self._session.model} answers, on the backend {self._session.backend}."
            self.query_one("#welcome-model", Static).update(Content(text))
        if self._questions != self._session.questions:
            self._questions = self._session.questions
            self._show_keys()

    def _show_keys(self) -> None:
        possible = actions(self.screen)
        told = {name: possible[name].binding.tooltip for name in self.KEYS if name in possible}
        if self._questions and "prompt.older" in possible:
            told = {"prompt.older": "Try a question that was held out from the training.", **told}
        keys = {name: possible[name].keys[0] for name in told}
        width = max((len(key) for key in keys.values()), default=0)
        lines = [
            Content.assemble((keys[name].rjust(width), "bold $text-primary"), f"  {what}")
            for name, what in told.items()
        ]
        self.query_one("#welcome-keys", Static).update(Content("\n").join(lines))


class Transcript(VerticalScroll, can_focus=False, inherit_bindings=False):
    """A scrolled list of turns that follows its end while one is there."""

    def __init__(self, session: Session, conversation: Conversation) -> None:
        super().__init__()
        self._session = session
        self._conversation = conversation
        self.later = 0
        """How many turns are not mounted and later than those that are: after going to one of the middle."""

    def compose(self) -> ComposeResult:
        yield Welcome(self._session)

    def on_mount(self) -> None:
        self.anchor()

    @property
    def hidden(self) -> int:
        """How many of the conversation's turns are not mounted and earlier than those that are."""
        return len(self._conversation.turns) - len(self.query_children("TurnView")) - self.later

    def show_session(self) -> None:
        """Show the session as it is now, where the conversation is empty."""
        for welcome in self.query_children(Welcome):
            welcome.show()

    async def show(self, conversation: Conversation, at: Turn | None = None) -> None:
        """Show another conversation, from its end or around one of its turns."""
        from phichat.screens.chat.messages import TurnView

        self._conversation = conversation
        turns = conversation.turns
        end = min(len(turns), turns.index(at) + TAIL // 2 + 1) if at else len(turns)
        self.later = len(turns) - end
        async with self.batch():
            await self.remove_children()
            shown = turns[max(0, end - TAIL) : end]
            await self.mount_all([TurnView(turn) for turn in shown] or [Welcome(self._session)])
        await self._offer_more()
        self.anchor()
        if at:
            self.release_anchor()

    async def show_message(self, turn: Turn, *, answer: bool, share: float) -> None:
        """Go to where something was said: so far into the question of a turn, or into its answer."""
        from phichat.screens.chat.messages import Answer, Question

        if not self.view(turn):
            await self.show(self._conversation, turn)
        self.release_anchor()
        if view := self.view(turn):
            said = view.query_one(Answer if answer else Question)
            # After the refresh in which it gets its place, and can be focused.
            self.call_after_refresh(self._go_into, said, share)

    def _go_into(self, said: Widget, share: float) -> None:
        """Focus a message, and scroll so that a part of it is in the upper third."""
        said.focus(scroll_visible=False)
        place = said.virtual_region
        y = said.parent.virtual_region.y if isinstance(said.parent, Widget) else 0
        at = y + place.y + round(place.height * share) - self.size.height // 3
        self.scroll_to(y=max(0, at), animate=False, immediate=True)

    async def add(self, turn: Turn) -> None:
        """Show a new turn and go there."""
        # Imported with the first turn: Markdown would cost a fifth of the time to the first frame.
        from phichat.screens.chat.messages import TurnView

        if self.later:
            await self.show(self._conversation)
            return
        async with self.batch():
            await self.query_children(Welcome).remove()
            await self.mount(TurnView(turn))
        self.anchor()
        if len(self.query_children(TurnView)) > TAIL + SLACK:
            for view in self.query_children(TurnView)[:-TAIL]:
                await view.remove()
            await self._offer_more()

    async def follow(self) -> None:
        """Show what became of the conversation: turns that were taken away, and others in their place."""
        from phichat.screens.chat.messages import TurnView

        turns = self._conversation.turns
        stay = [view for view in self.query_children(TurnView) if view.turn in turns]
        after = turns.index(stay[-1].turn) + 1 if stay else 0
        if stay and self.later:  # they are read from the middle: there they stay
            await self.show(self._conversation, stay[-1].turn)
            return
        if not stay or len(turns) - after > TAIL:
            await self.show(self._conversation)
            return
        async with self.batch():
            for view in self.query_children(TurnView):
                if view not in stay:
                    await view.remove()
            await self.mount_all([TurnView(turn) for turn in turns[after:]])
        self.anchor()

    async def drop(self, turn: Turn) -> None:
        """Take a turn away."""
        if view := self.view(turn):
            await view.remove()
        if not self._conversation.turns:
            await self.mount(Welcome(self._session))

    async def load_earlier(self) -> None:
        """Show more of the earlier turns; what is being read stays where it is."""
        from phichat.screens.chat.messages import TurnView

        end = self.hidden
        turns = self._conversation.turns[max(0, end - TAIL) : end]
        first = self.query_children(TurnView).first()
        async with self.batch():
            await self.mount_all([TurnView(turn) for turn in turns], before=first)
            await self._offer_more()
        self.call_after_refresh(self.scroll_to_widget, first, top=True, animate=False, immediate=True)

    async def load_later(self) -> None:
        """Show more of the later turns."""
        from phichat.screens.chat.messages import TurnView

        begin = len(self._conversation.turns) - self.later
        turns = self._conversation.turns[begin : begin + TAIL]
        self.later -= len(turns)
        async with self.batch():
            await self.mount_all([TurnView(turn) for turn in turns])
            await self._offer_more()

    def view(self, turn: Turn) -> TurnView | None:
        """What shows a turn; None if it is not mounted."""
        from phichat.screens.chat.messages import TurnView

        return next((view for view in self.query_children(TurnView) if view.turn is turn), None)

    async def _offer_more(self) -> None:
        await self.query_children("Choice").remove()
        if self.hidden or self.later:
            from phichat.screens.choice import Choice

            if self.hidden:
                await self.mount(Choice("chat.earlier"), before=0)
            if self.later:
                await self.mount(Choice("chat.end"))
