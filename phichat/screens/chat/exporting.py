"""A conversation written into a file of a format that the person chooses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phichat.screens.session import problem_of

if TYPE_CHECKING:
    from phichat.history import Conversation, HistoryStore
    from phichat.history.formats import Format

FORMATS = {
    "markdown": ("Markdown", "to read: what is shown, under headings"),
    "jsonl": ("JSONL", "everything, every version; phichat takes it back"),
    "openai": ("OpenAI messages", "to train on: what is shown, whole answers only"),
    "sharegpt": ("ShareGPT", "the same as others keep it"),
}


class ExportScreen(ModalScreen[None]):
    """A choice of formats; the chosen one is written at once."""

    CSS_PATH = "exporting.tcss"
    BINDING_GROUP_TITLE = "Export"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", tooltip="Export nothing.", id="export.close"),
    ]

    def __init__(self, store: HistoryStore, conversation: Conversation, folder: Path) -> None:
        super().__init__()
        self._store = store
        self._conversation = conversation
        self._folder = folder

    def compose(self) -> ComposeResult:
        with Vertical(id="export"):
            yield Static(Content(f"Export “{self._conversation.title}” as"), id="export-title")
            yield OptionList(
                *(
                    Option(Content.assemble((name, "bold"), f"\n{what}"), id=form)
                    for form, (name, what) in FORMATS.items()
                ),
                compact=True,
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._write(cast("Format", event.option_id))

    @work(exclusive=True, exit_on_error=False)
    async def _write(self, form: Format) -> None:
        from phichat.history.exports import export

        path = free(
            self._folder / f"{slug(self._conversation.title)}.{'md' if form == 'markdown' else 'jsonl'}"
        )
        try:
            written = await export(self._store, _only(self._conversation.id), path, form)
        except Exception as error:
            problem = problem_of(error)
            self.app.notify(problem.message, title="Not exported", severity="error", markup=False)
        else:
            empty = "It has no whole answer: there is nothing to export in this format."
            self.app.notify(f"Exported to {path}" if written else empty, timeout=8, markup=False)
        self.dismiss()


def slug(title: str) -> str:
    """A title as a file's name."""
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")[:48] or "conversation"


def free(path: Path) -> Path:
    """The path, or the first with a number that no file has."""
    number, candidate = 2, path
    while candidate.exists():
        candidate = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return candidate


async def _only(conversation_id: str) -> AsyncIterator[str]:
    yield conversation_id
