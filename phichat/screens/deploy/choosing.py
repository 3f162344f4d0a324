"""Which model to deploy: one of those that are known, or any other by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static

from phichat.backends.base import Job
from phichat.screens.deploy.named import NamedModel
from phichat.screens.deploy.work import Candidate
from phichat.screens.listing import Listing


class Choosing(Vertical):
    """A list of models, and below it a line to type into."""

    class Chosen(Message):
        """The person wants this model."""

        def __init__(self, model: Job | str) -> None:
            super().__init__()
            self.model = model

    def __init__(self) -> None:
        super().__init__(id="choosing")
        self.candidates: Sequence[Candidate] = ()
        self._models = Listing(id="models")
        self._named = NamedModel()

    def compose(self) -> ComposeResult:
        yield Static("Which model? Enter deploys it.", classes="title")
        yield self._models
        yield self._named

    def show(self, candidates: Sequence[Candidate]) -> None:
        """List these models, the newest first."""
        self.candidates = candidates
        rows = {str(at): [Content(each.name), Content(each.about)] for at, each in enumerate(candidates)}
        self._models.show(["Model", ""], rows)

    def begin(self, home: Path) -> None:
        """Begin at the newest; `home`: where a relative folder begins that is typed."""
        self._named.home = home
        self._models.go_to("0")

    def enter(self) -> None:
        """Give the list the focus."""
        self._models.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(self.candidates[int(event.option.id or "0")].model))

    def on_named_model_chosen(self, event: NamedModel.Chosen) -> None:
        event.stop()
        self.post_message(self.Chosen(event.model))

    def on_key(self, event: events.Key) -> None:
        """What is typed in the list of models names another one."""
        typed = event.is_printable and event.character not in (None, " ")
        if self._models.has_focus and typed and not event.key.isdigit():
            event.stop()
            self._named.type(event.character or "")

    def on_paste(self, event: events.Paste) -> None:
        """So does what is pasted there."""
        if self._models.has_focus:
            event.stop()
            self._named.type(event.text.strip())
