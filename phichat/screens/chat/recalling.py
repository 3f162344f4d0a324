"""What was said in other conversations, found and attached to the next question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from phichat.screens.oneline import OneLine
from phichat.screens.session import problem_of

if TYPE_CHECKING:
    from phichat.history import ConversationLog, Hit
    from phichat.workflow.conversations import Conversations

ATTACHED, OTHER = "●", "○"
MOST = 3
"""Places that go with one question: more would leave a small model no room for its answer."""


class RecallScreen(ModalScreen[list["Hit"]]):
    """A search through the other conversations; gives the places that the person has chosen."""

    CSS_PATH = "recalling.tcss"
    HELP = """
## Attach what was said elsewhere

Type words that were said in another conversation. Enter attaches the place under the cursor, or takes it
back; the model reads question and answer there before your next question. Escape goes back and keeps them.
"""
    BINDING_GROUP_TITLE = "Attach"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Done", tooltip="Back to the question.", id="recall.close"),
        Binding("down", "to_list", "To the list", tooltip="Go to the list.", id="recall.list", show=False),
    ]

    class Found(Message):
        """What a search has found."""

        def __init__(self, hits: list[Hit], trouble: str = "") -> None:
            super().__init__()
            self.hits = hits
            self.trouble = trouble

    def __init__(
        self, conversations: Conversations, log: ConversationLog | None, attached: Sequence[Hit]
    ) -> None:
        super().__init__()
        self._conversations = conversations
        self._log = log
        self._attached = list(attached)
        self._hits = list(attached)

    def compose(self) -> ComposeResult:
        with Vertical(id="recall"):
            words = OneLine(placeholder="Words of another conversation", compact=True)
            yield words
            yield OptionList()
            yield Static(id="recall-told")

    def on_mount(self) -> None:
        box = self.query_one("#recall")
        box.border_title = "Attach what was said elsewhere"
        box.border_subtitle = "enter attaches, esc is done"
        self._show("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._search(event.value.strip())

    def on_input_submitted(self) -> None:
        self.action_to_list()

    @work(group="recall", exclusive=True, exit_on_error=False)
    async def _search(self, words: str) -> None:
        try:
            hits = await self._conversations.places(words, self._log) if words else self._attached
            self.post_message(self.Found(list(hits), "" if hits or not words else "Nothing matches."))
        except Exception as error:
            self.post_message(self.Found([], problem_of(error).message))

    def on_recall_screen_found(self, event: Found) -> None:
        self._hits = event.hits
        self._show(event.trouble)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        hit = self._hits[event.option_index]
        same = [each for each in self._attached if each.message_id == hit.message_id]
        if same:
            self._attached.remove(same[0])
        elif len(self._attached) < MOST:
            self._attached.append(hit)
        else:
            self.notify(f"At most {MOST} places go with a question.", severity="warning", timeout=4)
        self._show("")

    def action_to_list(self) -> None:
        """Go from the words to what they found."""
        self.query_one(OptionList).focus()

    def action_close(self) -> None:
        """Give back what is attached."""
        self.dismiss(self._attached)

    def _show(self, trouble: str) -> None:
        places = self.query_one(OptionList)
        at = places.highlighted
        chosen = {each.message_id for each in self._attached}
        places.set_options([Option(_told(each, each.message_id in chosen)) for each in self._hits])
        places.display = bool(self._hits)
        if self._hits:
            places.highlighted = min(at or 0, len(self._hits) - 1)
        self.query_one("#recall-told", Static).update(Content(trouble))


class Attachments(Static):
    """What goes with the next question, above the prompt."""

    DEFAULT_CSS = Path(__file__).with_name("attachments.tcss").read_text(encoding="utf-8")

    def show(self, hits: Sequence[Hit]) -> None:
        """Show these places, one line each; nothing when there are none."""
        self.display = bool(hits)
        self.update(Content("\n").join([_line(hit) for hit in hits]))


def _line(hit: Hit) -> Content:
    title = hit.conversation.title or "without a title"
    return Content.assemble(("▪ ", "$text-primary"), f"with “{title}”: ", _snippet(hit))


def _told(hit: Hit, attached: bool) -> Content:
    sign = ATTACHED if attached else OTHER
    title = hit.conversation.title or "Without a title"
    return Content.assemble(f"{sign} ", (title, "bold"), "\n  ", _snippet(hit))


def _snippet(hit: Hit) -> Content:
    text = Content(hit.snippet.text)
    for start, end in hit.snippet.marks:
        text = text.stylize("bold underline", start, end)
    return text
