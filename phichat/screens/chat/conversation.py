"""A conversation as the application holds it: turns, each a question and what became of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from phichat.backends.base import ChatOptions
    from phichat.errors import PhichatError
    from phichat.events import Reply
    from phichat.history import ConversationLog, Hit, StoredMessage

    Ask = Callable[[ConversationLog, str, Sequence[Hit]], Awaitable[StoredMessage]]

TurnState = Literal["waiting", "answering", "done", "stopped", "failed", "partial"]
RUNNING: frozenset[TurnState] = frozenset({"waiting", "answering"})


class Versions(NamedTuple):
    """The versions of a message, oldest first, and which of them is shown."""

    ids: tuple[str, ...] = ()
    at: int = 0

    def beside(self, step: int) -> str:
        """The id of the one before (-1) or after (1); empty if there is none."""
        place = self.at + step
        return self.ids[place] if 0 <= place < len(self.ids) else ""


@dataclass(eq=False)
class Turn:
    """One question, its answer so far, and how far that is."""

    question: str
    answer: str = ""
    state: TurnState = "waiting"
    """`waiting`: the question is not yet with the model; `partial`: whoever wrote the answer died."""
    reply: Reply | None = None
    """What the whole answer cost; None until it is whole."""
    problem: PhichatError | None = None
    """Why it failed."""
    kept: str = ""
    """The id of the question in the history; empty until it is kept."""
    answer_id: str = ""
    """The same of the answer."""
    questions: Versions = field(default_factory=Versions)
    answers: Versions = field(default_factory=Versions)
    notes: tuple[str, ...] = ()
    """What the model read with the question: a summary of what came before, excerpts of others."""
    attach: Sequence[Hit] = ()
    """Places of other conversations that the model is to read with the question."""
    edits: str = ""
    """The id of the question that this one is another version of."""
    continues: str = ""
    """The id of the partial answer that this one goes on from."""
    instead: str = ""
    """What was shown in its place before: shown again when nothing comes of it."""
    source: str = ""
    """Where the answer came from: model, backend and deployment; empty where nobody knows."""
    doubtful: bool = False
    """Whether it was asked for in another chat template than the model was trained with."""

    @property
    def running(self) -> bool:
        """Whether more of the answer may come."""
        return self.state in RUNNING

    @property
    def unfinished(self) -> bool:
        """Whether there is a part of an answer that the model could go on with."""
        cut = self.reply is not None and self.reply.finish_reason == "length"
        return bool(self.answer and self.answer_id) and (
            cut or self.state in ("stopped", "failed", "partial")
        )

    @property
    def identity(self) -> tuple[object, ...]:
        """What is equal in two turns that look the same."""
        versions = self.questions, self.answers
        return self.kept, self.answer_id, versions, self.problem, self.answer, self.notes, self.source


@dataclass
class Conversation:
    """The turns in order, of which the last may be running, and the same in the history."""

    turns: list[Turn] = field(default_factory=list)
    log: ConversationLog | None = None
    """None before the first question."""
    options: ChatOptions | None = None
    """How to answer in it; None: as configured."""
    system: str | None = None
    """Its system prompt from the next answer on; None: as it is."""

    @property
    def last(self) -> Turn | None:
        """The latest turn."""
        return self.turns[-1] if self.turns else None

    @property
    def running(self) -> Turn | None:
        """The turn that is being answered."""
        return self.last if self.last and self.last.running else None

    def ask(self, question: str, attach: Sequence[Hit] = ()) -> Turn:
        """Begin a turn."""
        turn = Turn(question, attach=attach)
        self.turns.append(turn)
        return turn

    def again(self, turn: Turn) -> Turn:
        """Begin another answer to the question of a turn, in its place; the history keeps what was there."""
        return self._replace(turn, Turn(turn.question, kept=turn.kept, instead=turn.answer_id))

    def go_on(self, turn: Turn) -> Turn:
        """Begin an answer that goes on from the partial one of a turn, in its place."""
        at = turn.answer_id
        return self._replace(turn, Turn(turn.question, turn.answer, kept=turn.kept, continues=at, instead=at))

    def reword(self, turn: Turn, question: str) -> Turn:
        """Begin a turn with another version of a question, in the place of that one."""
        return self._replace(turn, Turn(question, edits=turn.kept, instead=turn.answer_id or turn.kept))

    def drop(self, turn: Turn) -> None:
        """Forget a turn that was never answered."""
        self.turns.remove(turn)

    async def place(self, turn: Turn, log: ConversationLog, ask: Ask) -> None:
        """Put a turn into the history, so that the answer to it comes next; `ask` adds a new question.

        Raises:
            HistoryError: it cannot be kept.
        """
        self.log = log
        if turn.continues:
            log.back_to(turn.continues)
        elif turn.kept:
            log.back_to(turn.kept)
        elif turn.edits:
            turn.kept = (await log.edit(turn.edits, turn.question)).id
        else:
            turn.kept = (await ask(log, turn.question, turn.attach)).id

    def step_back(self, turn: Turn) -> None:
        """Let the model not be shown a turn again; the history keeps it."""
        if self.log and turn.kept:
            self.log.retry(turn.kept)

    def identify(self, turn: Turn) -> None:
        """Note where in the history a turn is, and what is beside it."""
        if self.log is None or not turn.kept:
            return
        from phichat.screens.chat.branches import notes_of, source_of, versions

        turn.notes = notes_of(self.log.transcript, turn.kept)
        leaf = self.log.branch[-1]
        if leaf.role == "assistant" and leaf.parent_id == turn.kept:
            turn.answer_id = leaf.id
            turn.answers = versions(self.log.transcript, leaf.id)
            turn.source = source_of(leaf)
        turn.questions = versions(self.log.transcript, turn.kept)

    def read(self) -> None:
        """Take the turns from the history; those that are as before stay the same objects."""
        from phichat.screens.chat.branches import turns_of

        assert self.log is not None
        fresh = turns_of(self.log.transcript)
        same = 0
        for old, new in zip(self.turns, fresh, strict=False):
            if old.identity != new.identity or old.state != new.state:
                break
            same += 1
        self.turns[same:] = fresh[same:]

    def _replace(self, turn: Turn, new: Turn) -> Turn:
        self.turns[self.turns.index(turn) :] = [new]
        return new
