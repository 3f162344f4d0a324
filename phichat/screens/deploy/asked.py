"""The question before a model is deployed, where the requests that it gets are taken from another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from phichat.screens.choice import Choice
from phichat.screens.question import Question

STEPS = "Gradually: it gets 10, 50, then 100 % of the requests."
AT_ONCE = "All at once: it gets 100 % of the requests, without steps."


class HandOver(Question):
    """Yes deploys as it is configured, another key the other way; `gradual` is what was chosen then."""

    CSS_PATH = "../question.tcss"
    HELP = """
Another deployment answers the requests now. y hands them over to the new one as `deploy.gradual` says; the
other key hands them over the other way, this once. In steps: 10, 50, then 100 %; it is asked something
between, and if it does not answer, it is removed and the requests go where they went.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "g",
            "gradually",
            "Gradually",
            tooltip="Do it, and give it the requests in steps.",
            id="question.gradually",
        ),
        Binding(
            "o", "at_once", "All at once", tooltip="Do it, and give it all requests.", id="question.at_once"
        ),
    ]

    def __init__(self, question: str, details: Content, *, gradual: bool) -> None:
        super().__init__(question, AT_ONCE if gradual else STEPS, details=details)
        self.gradual = gradual

    def choices(self) -> Iterator[Choice]:
        yield Choice("question.yes")
        yield Choice("question.at_once" if self.gradual else "question.gradually")
        yield Choice("question.no")

    def action_gradually(self) -> None:
        """Deploy it, and hand the requests over in steps."""
        self.gradual = True
        self.dismiss(True)

    def action_at_once(self) -> None:
        """Deploy it, and hand all requests over at once."""
        self.gradual = False
        self.dismiss(True)
