"""A question to two models: both answers side by side, and the vote on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
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

    def __init__(self, question: str, left: Column, right: Column) -> None:
        super().__init__()
        self.question = question
        self.columns = (left, right)
        self.vote: Winner | None = None

    def compose(self) -> ComposeResult:
        yield Static(Content(self.question), classes="asked")
        yield Horizontal(*self.columns, classes="columns")
        yield Static(classes="verdict")


class Ballot(Horizontal, can_focus=True):
    """The vote, once both have answered."""

    HELP = "Which answer is better? A or Left, B or Right, T or Down for a tie; Tab goes to the prompt."
    BINDING_GROUP_TITLE = "Vote"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "a,left", "vote('A')", "A is better", tooltip="The first is better.", id="vote.a", show=False
        ),
        Binding(
            "b,right", "vote('B')", "B is better", tooltip="The second is better.", id="vote.b", show=False
        ),
        Binding("t,down", "vote('')", "Tie", tooltip="Neither is better.", id="vote.tie", show=False),
    ]

    class Cast(Message):
        """The person has decided: for A, for B, or (empty) for neither."""

        def __init__(self, place: str) -> None:
            super().__init__()
            self.place = place

    def compose(self) -> ComposeResult:
        yield Static("Which is better?", id="ballot-question")
        yield Choice("vote.a")
        yield Choice("vote.b")
        yield Choice("vote.tie")

    def action_vote(self, place: str) -> None:
        """Say what was decided."""
        self.post_message(self.Cast(place))
