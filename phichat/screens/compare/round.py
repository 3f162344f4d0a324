"""A question to two models: both answers side by side, and the vote on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from phichat.screens.chat.markdown import StreamedMarkdown
from phichat.screens.choice import Choice
from phichat.workflow.comparing import Side
from phichat.workflow.votes import Winner

if TYPE_CHECKING:
    from phichat.backends.base import Deployment

Place = Literal["A", "B"]
PLACES: tuple[Place, Place] = ("A", "B")


@dataclass
class Speaker:
    """One side while it is compared: where it answers, and what was said with it so far."""

    side: Side
    deployment: Deployment | None = None
    said: list[tuple[str, str]] = field(default_factory=list)
    """Questions with this side's answers."""


class Column(Vertical):
    """One answer to a question: who gives it, the answer, and how it went."""

    def __init__(self, place: Place, speaker: Speaker) -> None:
        super().__init__(classes="column")
        self.place = place
        self.speaker = speaker
        self.answer = ""
        self.done = False
        self.failed = False

    def compose(self) -> ComposeResult:
        yield Static(classes="who")
        yield StreamedMarkdown(complete=False)
        yield Static("Waiting for the model …", classes="note")

    def name_it(self, *, blind: bool) -> None:
        """Say who it is, or only which of the two."""
        name = self.place if blind else f"{self.place} · {self.speaker.side.title}"
        self.query_one(".who", Static).update(Content(name))

    def feed(self, piece: str) -> None:
        """Show a further piece."""
        self.answer += piece
        self.query_one(StreamedMarkdown).feed(piece)

    def settle(self, note: Content, *, failed: bool = False) -> None:
        """No more will come."""
        self.done, self.failed = True, failed
        self.query_one(StreamedMarkdown).finish()
        self.tell(note)

    def tell(self, note: Content) -> None:
        """Say how it goes."""
        self.query_one(".note", Static).update(note)


class Round(Vertical):
    """A question, both answers, and what the person thought of them."""

    def __init__(self, question: str, left: Column, right: Column, *, blind: bool) -> None:
        super().__init__()
        self.question = question
        self.blind = blind
        self.columns = (left, right)
        self.vote: Winner | None = None

    def compose(self) -> ComposeResult:
        yield Static(Content(self.question), classes="asked")
        yield Horizontal(*self.columns, classes="columns")
        yield Static(classes="verdict")


class Ballot(Horizontal):
    """The vote, once both have answered: it takes no focus, as the next question may be typed already."""

    def compose(self) -> ComposeResult:
        yield Static("Which is better?", id="ballot-question")
        yield Choice("vote.a")
        yield Choice("vote.b")
        yield Choice("vote.tie")
