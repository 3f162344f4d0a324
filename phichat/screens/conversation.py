"""A conversation as the application holds it: turns, each a question and what became of its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from phichat.errors import PhichatError
    from phichat.events import Reply

TurnState = Literal["waiting", "answering", "done", "stopped", "failed"]
RUNNING: frozenset[TurnState] = frozenset({"waiting", "answering"})


@dataclass(eq=False)
class Turn:
    """One question, its answer so far, and how far that is."""

    question: str
    answer: str = ""
    state: TurnState = "waiting"
    """`waiting`: the question is not yet with the model."""
    reply: Reply | None = None
    """What the whole answer cost; None until it is whole."""
    problem: PhichatError | None = None
    """Why it failed."""
    kept: str = ""
    """The id of the question in the history; empty until it is kept."""

    @property
    def running(self) -> bool:
        """Whether more of the answer may come."""
        return self.state in RUNNING


@dataclass
class Conversation:
    """The turns in order; the last one may be running."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def last(self) -> Turn | None:
        """The latest turn."""
        return self.turns[-1] if self.turns else None

    @property
    def running(self) -> Turn | None:
        """The turn that is being answered."""
        return self.last if self.last and self.last.running else None

    def ask(self, question: str) -> Turn:
        """Begin a turn."""
        turn = Turn(question)
        self.turns.append(turn)
        return turn

    def drop(self, turn: Turn) -> None:
        """Forget a turn that was never answered."""
        self.turns.remove(turn)
