"""Two models side by side: the same question to both, two answers at once, and a vote on them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from random import random
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import Worker

from phichat.errors import PhichatError
from phichat.events import unheard
from phichat.screens.chat.prompt import Prompt
from phichat.screens.compare.round import PLACES, Ballot, Column, Round, Speaker
from phichat.screens.session import Session, problem_of
from phichat.screens.wording import plural
from phichat.workflow.comparing import Pair, keep, pair_of, serving, tally, told
from phichat.workflow.votes import Tally, Vote

if TYPE_CHECKING:
    from phichat.events import Reply


def coin() -> bool:
    """Heads or tails."""
    return random() < 0.5  # noqa: S311 - nobody gains by knowing


class CompareScreen(Screen[None]):
    """Two models, one prompt."""

    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    HELP = """
## Compare

What you ask goes to both; each goes on from its own answers. Vote when both are done, with F6, F7 or F8, or
ask on: what a tuned model wins is kept with its run. Blind, nobody knows which is which before the vote.
"""
    BINDING_GROUP_TITLE = "Compare"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "stop", "Stop", tooltip="Stop both answers.", id="compare.stop"),
        Binding("escape", "dismiss", "Back", tooltip="Back to the chat.", id="compare.close"),
        Binding("f3", "sides", "Pair", tooltip="Choose what is compared.", id="compare.sides"),
        Binding("f5", "blind", "Blind", tooltip="Hide which is which, or show it.", id="compare.blind"),
        # Before the prompt, which otherwise selects its lines with two of them.
        Binding(
            "f6",
            "vote('A')",
            "A is better",
            tooltip="The first is better.",
            id="vote.a",
            show=False,
            priority=True,
        ),
        Binding(
            "f7",
            "vote('B')",
            "B is better",
            tooltip="The second is better.",
            id="vote.b",
            show=False,
            priority=True,
        ),
        Binding(
            "f8", "vote('')", "Tie", tooltip="Neither is better.", id="vote.tie", show=False, priority=True
        ),
        Binding("ctrl+n", "anew", "Anew", tooltip="Forget what was said.", id="compare.new", show=False),
        Binding("pageup", "up", "Page up", tooltip="Read what is above.", id="compare.up", show=False),
        Binding(
            "pagedown", "down", "Page down", tooltip="Read what is below.", id="compare.down", show=False
        ),
    ]

    class Paired(Message):
        """What is compared is known."""

        def __init__(self, pair: Pair, tally: Tally) -> None:
            super().__init__()
            self.pair = pair
            self.tally = tally

    class Spoke(Message):
        """Something came for a column."""

        def __init__(self, column: Column) -> None:
            super().__init__()
            self.column = column

    class Piece(Spoke):
        """A piece of its answer."""

        def __init__(self, column: Column, text: str) -> None:
            super().__init__(column)
            self.text = text

    class Answered(Spoke):
        """Its whole answer."""

        def __init__(self, column: Column, reply: Reply) -> None:
            super().__init__(column)
            self.reply = reply

    class Failed(Spoke):
        """Its answer will not come."""

        def __init__(self, column: Column | None, problem: PhichatError) -> None:
            Message.__init__(self)
            self.failed = column
            self.problem = problem

    def __init__(self, session: Session, run: str | None = None) -> None:
        super().__init__()
        self._session = session
        self._run = run
        self._pair: Pair | None = None
        self._speakers: list[Speaker] = []
        self._workers: list[Worker[None]] = []
        self._round: Round | None = None
        self._blind = False
        self._rounds = VerticalScroll(id="rounds", can_focus=False)
        self._ballot = Ballot(id="ballot")
        self._prompt = Prompt(placeholder="Ask both")

    def compose(self) -> ComposeResult:
        yield Static("Compare", id="compare-title")
        yield self._rounds
        yield self._ballot
        yield Static(id="score")
        yield self._prompt
        yield Footer()

    def on_mount(self) -> None:
        self._ballot.display = False
        self._rounds.anchor()
        self._prompt.focus()
        self._find()

    # What is compared

    @work(group="pair", exclusive=True, exit_on_error=False)
    async def _find(self) -> None:
        project = self._session.project
        assert project is not None
        try:
            pair = await pair_of(project, self._run)
            self.post_message(self.Paired(pair, await asyncio.to_thread(tally, project, pair)))
        except Exception as error:
            self.post_message(self.Failed(None, problem_of(error, self._session.backend)))

    async def on_compare_screen_paired(self, event: Paired) -> None:
        if self._pair != event.pair:
            self._pair = event.pair
            self._speakers = [Speaker(event.pair.left), Speaker(event.pair.right)]
            await self.action_anew()
        self._show_score(event.tally)
        self.refresh_bindings()

    def _show_score(self, tally: Tally) -> None:
        pair = self._pair
        assert pair is not None
        title = Content.assemble(
            ("Compare", "bold"),
            f"  {pair.left.title}  and  {pair.right.title}",
            "  · blind" if self._blind else "",
        )
        self.query_one("#compare-title", Static).update(title)
        score = "Nobody has voted yet."
        if tally.votes:
            score = (
                f"{pair.right.title} wins {tally.win_rate:.0%} of {plural(tally.votes, 'vote')}: "
                f"{tally.right} better, {tally.left} worse, {plural(tally.ties, 'tie')}."
            )
        self.query_one("#score", Static).update(Content(score))

    def action_sides(self) -> None:
        """Choose what is compared."""
        from phichat.screens.compare.sides import SidesScreen

        if self._pair:
            self.app.push_screen(SidesScreen(self._session, self._pair), self._take_pair)

    async def _take_pair(self, pair: Pair | None) -> None:
        project = self._session.project
        if pair and project:
            self.post_message(self.Paired(pair, await asyncio.to_thread(tally, project, pair)))

    async def action_anew(self) -> None:
        """Forget what was said with both."""
        for speaker in self._speakers:
            speaker.said.clear()
        self._round = None
        self._ballot.display = False
        await self._rounds.remove_children()
        self._prompt.focus()

    # A round

    async def on_prompt_sent(self) -> None:
        if self._answering or not self._speakers:
            self.notify("What you wrote is kept: wait for the answers, or stop them.", timeout=4)
            return
        question = self._prompt.take()
        order = self._speakers[:]
        if self._blind and coin():
            order.reverse()
        columns = [Column(place, speaker) for place, speaker in zip(PLACES, order, strict=True)]
        self._round = Round(question, columns[0], columns[1], blind=self._blind)
        self._ballot.display = False
        await self._rounds.mount(self._round)
        for column in columns:
            column.name_it(blind=self._blind)
        self._rounds.anchor()
        self._workers = [self._answer(column, question) for column in columns]
        self.refresh_bindings()

    @work(group="answers", exit_on_error=False)
    async def _answer(self, column: Column, question: str) -> None:
        """Let one side answer, and say how that goes."""
        from phichat.backends.base import Message as Turn

        project, speaker = self._session.project, column.speaker
        assert project is not None
        turns = [
            Turn(role=role, content=text)
            for said in speaker.said
            for role, text in zip(("user", "assistant"), said, strict=True)
        ]
        try:
            deployment = speaker.deployment or await serving(project, speaker.side, unheard)
            speaker.deployment = deployment
            parts = project.chat(
                [*turns, Turn(role="user", content=question)],
                self._session.options(),
                deployment,
                system=speaker.side.system,
            )
            async with contextlib.aclosing(parts):
                async for part in parts:
                    if part.kind == "piece":
                        self.post_message(self.Piece(column, part.text))
                    else:
                        self.post_message(self.Answered(column, part))
        except Exception as error:
            self.post_message(self.Failed(column, problem_of(error, self._session.backend)))

    def on_compare_screen_piece(self, event: Piece) -> None:
        if not event.column.done:
            if not event.column.answer:
                event.column.tell(Content(""))
            event.column.feed(event.text)

    def on_compare_screen_answered(self, event: Answered) -> None:
        column, reply = event.column, event.reply
        if not column.done and self._round:
            column.speaker.said.append((self._round.question, column.answer))
            rate = f" · {reply.tokens_per_s:.1f} tokens/s" if reply.tokens_per_s else ""
            column.settle(Content(f"{plural(reply.completion_tokens, 'token')}{rate}"))
            self._call_to_vote()

    def on_compare_screen_failed(self, event: Failed) -> None:
        if event.failed is None:
            self.notify(told(event.problem), title="Compare", severity="error", timeout=10, markup=False)
        elif not event.failed.done:
            event.failed.settle(Content.assemble((f"✗ {told(event.problem)}", "$text-error")), failed=True)
            self._call_to_vote()

    @property
    def _to_vote_on(self) -> Round | None:
        """The round that has two whole answers and no vote yet."""
        this = self._round
        if this is None or this.vote or any(not column.done or column.failed for column in this.columns):
            return None
        return this

    def _call_to_vote(self) -> None:
        self._ballot.display = self._to_vote_on is not None
        self.refresh_bindings()

    async def action_vote(self, place: str) -> None:
        """Keep what was found better: A, B, or neither (empty)."""
        this, pair, project = self._to_vote_on, self._pair, self._session.project
        if this is None or pair is None or project is None:
            return
        chosen = next((column for column in this.columns if column.place == place), None)
        left = next(column for column in this.columns if column.speaker is self._speakers[0])
        right = next(column for column in this.columns if column is not left)
        this.vote = "tie" if chosen is None else "left" if chosen is left else "right"
        vote = Vote(
            left=pair.left.title,
            right=pair.right.title,
            question=this.question,
            answers=(left.answer, right.answer),
            winner=this.vote,
            blind=this.blind,
        )
        for column in this.columns:
            column.name_it(blind=False)
        verdict = f"{chosen.place} is better: {chosen.speaker.side.title}" if chosen else "A tie"
        this.query_one(".verdict", Static).update(Content.assemble(("✓ ", "$text-success"), verdict))
        self._call_to_vote()
        self._prompt.focus()
        try:
            self._show_score(await asyncio.to_thread(keep, project, pair, vote))
        except PhichatError as error:
            self.notify(told(error), title="Not kept", severity="error", timeout=10, markup=False)

    # What the keys do

    @property
    def _answering(self) -> bool:
        return self._round is not None and not all(column.done for column in self._round.columns)

    def action_stop(self) -> None:
        """Stop both; what is there stays, and counts as said, but nobody can vote on it."""
        for worker in self._workers:
            worker.cancel()
        for column in self._round.columns if self._round else ():
            if not column.done and self._round:
                column.speaker.said.append((self._round.question, column.answer))
                column.settle(Content.assemble(("■ stopped", "$text-warning")), failed=True)
        self._call_to_vote()

    def action_blind(self) -> None:
        """Hide which is which from the next question on, or show it."""
        self._blind = not self._blind
        self.notify("From the next question on, blind." if self._blind else "No longer blind.", timeout=3)

    def action_up(self) -> None:
        """Scroll both up."""
        self._rounds.scroll_page_up(animate=False)

    def action_down(self) -> None:
        """Scroll both down."""
        self._rounds.scroll_page_down(animate=False)

    def on_key(self, event: events.Key) -> None:
        """Letters and digits go to the prompt, unless they mean something to what has the focus."""
        # A number leads to another screen only from where nobody types.
        free = event.key.isdigit() or event.key not in self.active_bindings
        if event.is_printable and event.character and free:
            event.stop()
            self._prompt.focus()
            self._prompt.insert(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A text goes to the prompt, whatever has the focus."""
        if not self._prompt.has_focus:
            self._prompt.focus()
            self._prompt.insert(event.text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        match action:
            case "stop":
                return self._answering
            case "vote":
                return self._to_vote_on is not None
            case "sides" | "blind" | "anew":
                return self._pair is not None and not self._answering
        return True
