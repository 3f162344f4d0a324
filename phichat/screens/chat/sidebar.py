"""The conversations beside the chat: found, opened, renamed, deleted and brought back, exported."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static
from textual.widgets.option_list import Option

from phichat.screens.oneline import OneLine
from phichat.screens.rows import Rows
from phichat.screens.session import Session, problem_of
from phichat.screens.wording import ago, plural

if TYPE_CHECKING:
    from phichat.errors import PhichatError
    from phichat.history import Conversation, HistoryStore, Snippet
    from phichat.history.values import Sync

LISTED, FOUND = 200, 50
"""Conversations in the list, and hits of a search: more than anybody reads through."""


@dataclass(frozen=True)
class Row:
    """One line of the list: a conversation, and what of it matches a search."""

    conversation: Conversation
    snippet: Snippet | None = None
    message_id: str = ""
    """The message that matches; empty: the title does, or nothing is searched."""


class ConversationList(Rows):
    """The conversations, the latest first, or the hits of a search, the best first."""

    HELP = """
## Conversations

Enter goes on with a conversation. What is deleted can be brought back at once with U, and for 30 days with
`phichat history delete --undo`.
"""
    BINDING_GROUP_TITLE = "Conversations"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open", tooltip="Go on with this conversation.", id="chats.open"),
        Binding("r", "wish('rename')", "Rename", tooltip="Give it another title.", id="chats.rename"),
        Binding(
            "d,delete", "wish('delete')", "Delete", tooltip="Delete it; U brings it back.", id="chats.delete"
        ),
        Binding(
            "u", "wish('undo')", "Undo", tooltip="Bring back what was deleted.", id="chats.undo", show=False
        ),
        Binding("x", "wish('export')", "Export", tooltip="Write it into a file.", id="chats.export"),
        Binding(
            "a",
            "wish('widen')",
            "All projects",
            tooltip="Show the conversations of every project, or of this one.",
            id="chats.all",
            show=False,
        ),
    ]

    class Wish(Message):
        """The person wants something of the conversation that is highlighted."""

        def __init__(self, what: str, row: int | None) -> None:
            super().__init__()
            self.what = what
            self.row = row

    def action_wish(self, what: str) -> None:
        """Say what is wanted, and of which."""
        self.post_message(self.Wish(what, self.highlighted))


class Sidebar(Vertical):
    """A search field over the conversations of the project."""

    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "to_list", "To the list", tooltip="Go to the list.", id="chats.list", show=False),
    ]

    class Opened(Message):
        """The person wants to go on with a conversation."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class Renamed(Message):
        """A conversation has another title."""

        def __init__(self, conversation_id: str, title: str) -> None:
            super().__init__()
            self.conversation_id = conversation_id
            self.title = title

    class Found(Message):
        """What there is to list."""

        def __init__(self, rows: list[Row]) -> None:
            super().__init__()
            self.rows = rows

    class Trouble(Message):
        """Something could not be done."""

        def __init__(self, problem: PhichatError) -> None:
            super().__init__()
            self.problem = problem

    class SyncChanged(Message):
        """The history elsewhere is nearer to this one, or farther from it."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._rows: list[Row] = []
        self._deleted: list[Conversation] = []
        self._renaming: Conversation | None = None
        self._everywhere = False
        self._listening = False
        self.current = ""
        """The id of the conversation that is held."""

    def compose(self) -> ComposeResult:
        yield Static(id="chats-title")
        yield OneLine(placeholder="Search", id="chats-search", compact=True)
        yield ConversationList(id="chats-list", compact=True)
        yield Static(id="chats-empty")
        yield OneLine(id="chats-rename", compact=True)

    def on_mount(self) -> None:
        self.query_one("#chats-rename").display = False
        self.query_one("#chats-empty").display = False
        self.load()

    def action_to_list(self) -> None:
        """Go from the search to what it found."""
        self.query_one(ConversationList).focus()

    @work(group="conversations", exclusive=True, exit_on_error=False)
    async def load(self) -> None:
        """Read the list anew."""
        try:
            store = self._store()
            if not self._listening:
                self._listening = True
                store.on_sync(self._hear)
            self.post_message(self.Found(await self._read(store)))
        except Exception as error:
            self.post_message(self.Trouble(problem_of(error)))

    async def _read(self, store: HistoryStore) -> list[Row]:
        scope = None if self._everywhere else self._scope
        if typed := self.query_one("#chats-search", Input).value.strip():
            hits = await store.search(typed, project=scope, limit=FOUND)
            return [Row(hit.conversation, hit.snippet, hit.message_id or "") for hit in hits]
        page = await store.page(project=scope, limit=LISTED)
        return [Row(conversation) for conversation in page.conversations]

    @work(group="change", exit_on_error=False)
    async def _change(self, change: Callable[[HistoryStore], Awaitable[object]]) -> None:
        """Change something in the history, then read the list anew."""
        try:
            await change(self._store())
        except Exception as error:
            self.post_message(self.Trouble(problem_of(error)))
        self.load()

    def _hear(self) -> None:
        self.post_message(self.SyncChanged())

    def _store(self) -> HistoryStore:
        assert self._session.project is not None
        return self._session.project.history

    @property
    def _scope(self) -> str:
        project = self._session.project
        return str(project.root or "") if project else ""

    # What comes back

    def on_sidebar_found(self, event: Found) -> None:
        rows = self.query_one(ConversationList)
        at = rows.highlighted or 0
        self._rows = event.rows
        rows.set_options([Option(_told(row, row.conversation.id == self.current)) for row in event.rows])
        if event.rows:
            rows.highlighted = min(at, len(event.rows) - 1)
        searched = bool(self.query_one("#chats-search", Input).value.strip())
        empty = self.query_one("#chats-empty", Static)
        empty.display = not event.rows
        rows.display = bool(event.rows or self._deleted)  # the keyboard stays where Undo is
        empty.update("Nothing matches." if searched else "Nothing was said yet. Ask something: it is kept.")
        self._show_title()

    def on_sidebar_trouble(self, event: Trouble) -> None:
        told = f"{event.problem.message} {event.problem.hint}".strip()
        self.notify(told, title="History", severity="error", timeout=10, markup=False)

    def on_sidebar_sync_changed(self) -> None:
        self._show_title()

    def _show_title(self) -> None:
        kept = _where(self._store().sync)
        shown = "All projects" if self._everywhere else "Chats"
        self.query_one("#chats-title", Static).update(Content.assemble((shown, "bold"), f" · {kept}"))

    # What the person does

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "chats-search":
            self.load()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "chats-search":
            if self._rows:
                self.post_message(self.Opened(self._rows[0]))
        elif renamed := self._renaming:
            title = event.value.strip()
            self._end_renaming()
            if title:
                self._change(lambda store: store.rename(renamed.id, title))
                self.post_message(self.Renamed(renamed.id, title))

    def on_option_list_option_selected(self, event: Rows.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Opened(self._rows[event.option_index]))

    def on_conversation_list_wish(self, event: ConversationList.Wish) -> None:
        chosen = self._rows[event.row].conversation if event.row is not None and self._rows else None
        if event.what == "widen":
            self._everywhere = not self._everywhere
            self.load()
        elif event.what == "undo":
            self._undo()
        elif chosen and event.what == "delete":
            self._deleted.append(chosen)
            self._change(lambda store: store.delete(chosen.id))
            self.notify(f"Deleted: {chosen.title}. U brings it back.", timeout=6, markup=False)
        elif chosen and event.what == "rename":
            self._renaming = chosen
            field = self.query_one("#chats-rename", Input)
            field.value = chosen.title
            field.border_title = "New title"
            field.display = True
            field.focus()
        elif chosen and event.what == "export":
            self._export(chosen)

    def end(self) -> bool:
        """Leave what is being done; False when that is nothing."""
        if self._renaming:
            self._end_renaming()
            return True
        return False

    def _undo(self) -> None:
        if self._deleted:
            back = self._deleted.pop()
            self._change(lambda store: store.undelete(back.id))

    def _end_renaming(self) -> None:
        self._renaming = None
        self.query_one("#chats-rename").display = False
        self.query_one(ConversationList).focus()

    def _export(self, conversation: Conversation) -> None:
        from phichat.screens.chat.exporting import ExportScreen

        project = self._session.project
        folder = (project.root if project else None) or Path.cwd()
        self.app.push_screen(ExportScreen(self._store(), conversation, folder))


def _where(sync: Sync) -> str:
    """Where the history lies and whether what lies elsewhere is the same, in a few words."""
    match sync.state:
        case "synced":
            return "synced"
        case "syncing":
            return "syncing …"
        case "behind":
            return f"{plural(sync.pending, 'chat')} not synced" if sync.pending else "not synced"
    return "on this machine"


def _told(row: Row, held: bool) -> Content:
    """Title and, below it, what matches or how long ago something was said."""
    title = row.conversation.title or "Without a title"
    first = Content.assemble((f"{'● ' if held else ''}{title}", "bold" if held else ""))
    if row.snippet is None or not row.message_id:
        return Content("\n").join([first, Content(ago(time.time() - row.conversation.updated))])
    snippet = Content(row.snippet.text)  # a colour of its own would not be seen under the cursor
    for start, end in row.snippet.marks:
        snippet = snippet.stylize("bold underline", start, end)
    return Content("\n").join([first, snippet])
