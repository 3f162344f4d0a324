"""A question that is asked before something is spent, ended or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from phichat.screens.choice import Choice


class Question(ModalScreen[bool]):
    """A sentence that can be answered with yes or no; Escape is a no."""

    CSS_PATH = "question.tcss"
    HELP = "Something is about to be spent, ended or deleted: y does it, Escape leaves all as it is."
    BINDING_GROUP_TITLE = "Question"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", tooltip="Do it.", id="question.yes"),
        Binding("n,escape", "answer(False)", "No", tooltip="Leave all as it is.", id="question.no"),
    ]

    def __init__(self, question: str, hint: str = "", *, details: Content | None = None) -> None:
        super().__init__()
        self._question = question
        self._hint = hint
        self._details = details
        """What it is about, where that takes more than a sentence."""

    def compose(self) -> ComposeResult:
        with Vertical(id="question"):
            yield Static(Content(self._question), classes="what")
            if self._details:
                with VerticalScroll(id="question-details", can_focus=False):
                    yield Static(self._details)
            if self._hint:
                yield Static(Content(self._hint), classes="hint")
            yield Horizontal(*self.choices(), classes="choices")

    def choices(self) -> Iterator[Choice]:
        """A button for each answer; Enter gives the first."""
        yield Choice("question.yes")
        yield Choice("question.no")

    def action_answer(self, yes: bool) -> None:
        """Go back with the answer."""
        self.dismiss(yes)
