"""The list of runs: how each went and whether it helped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.content import Content

from phichat.backends.base import TrainSpec
from phichat.events import State
from phichat.runs import Run
from phichat.screens.listing import Listing
from phichat.screens.session import short_name
from phichat.screens.wording import plural
from phichat.workflow.course import Course
from phichat.workflow.estimates import duration
from phichat.workflow.evaluation import Effect, Evaluation, verdict
from phichat.workflow.training import Training, took
from phichat.workflow.votes import Tally

SIGNS: dict[State, tuple[str, str]] = {
    "queued": ("○", "$text-secondary"),
    "preparing": ("◐", "$text-primary"),
    "running": ("●", "$text-primary"),
    "succeeded": ("✓", "$text-success"),
    "failed": ("✗", "$text-error"),
    "cancelled": ("■", "$text-warning"),
}
EFFECTS: dict[Effect, str] = {
    "helped": "yes",
    "forgot": "yes, but forgot",
    "same": "hardly",
    "harmed": "no, it did harm",
    "unknown": "",
}
EFFECT_SIGNS: dict[Effect, tuple[str, str]] = {
    "helped": ("✓", "$text-success"),
    "forgot": ("▲", "$text-warning"),
    "same": ("·", "$text-warning"),
    "harmed": ("✗", "$text-error"),
    "unknown": ("·", "$text-secondary"),
}
MARKS = ("◆", "▲", "■", "★")
"""Signs of the runs that are drawn into one picture."""


@dataclass(frozen=True)
class Known:
    """A run, and what is kept of it on this machine."""

    run: Run
    course: Course
    found: Evaluation | None
    votes: Tally
    """How people voted on its model."""


def known(training: Training, runs: Iterable[Run], before: Iterable[Known] = ()) -> list[Known]:
    """What is kept of the trainings among these; reads files. What is finished is not read twice."""
    there = {(each.run.name, each.votes): each for each in before if each.run.finished and each.found}
    found = []
    for run in runs:
        if isinstance(run.spec, TrainSpec):
            votes = training.votes(run)
            same = there.get((run.name, votes))
            if same is None or same.run != run:
                same = Known(run, training.course(run.name), training.evaluation(run), votes)
            found.append(same)
    return found


class Runs(Listing):
    """One row for each run; those that are marked are drawn into the same picture."""

    HELP = "The runs, the newest first: Enter shows one, Space marks those to draw into one picture."

    def __init__(self) -> None:
        super().__init__(id="runs")
        self.known: list[Known] = []
        self.marked: list[str] = []
        self._wide = False

    def show_runs(self, every: Sequence[Known], *, wide: bool) -> None:
        """Show these runs, on a wide screen with more about each."""
        self.known, self._wide = list(every), wide
        self._fill()

    def mark(self) -> None:
        """Draw the run under the cursor beside the others, or not any more."""
        name = self.selected
        if name in self.marked:
            self.marked.remove(name)
        elif name and len(self.marked) < len(MARKS):
            self.marked.append(name)
        self._fill()

    def overlaid(self, but: str) -> list[tuple[str, Known]]:
        """The marked runs with their signs, without one."""
        signs = self._signs()
        return [
            (signs[each.run.name], each)
            for each in self.known
            if each.run.name in signs and each.run.name != but
        ]

    def _fill(self) -> None:
        head = ["", "Run", "State", "Eval loss", "Did it help?"]
        signs = self._signs()
        rows = {}
        for each in self.known:
            cells = [Content.styled(signs.get(each.run.name, " "), "$text-accent"), *_cells(each)]
            rows[each.run.name] = [*cells, *(_more(each.run) if self._wide else [])]
        self.show([*head, *(["Model", "Started", "Took"] if self._wide else [])], rows)

    def _signs(self) -> dict[str, str]:
        return dict(zip(self.marked, MARKS, strict=False))


def _cells(each: Known) -> list[Content]:
    sign, colour = SIGNS[each.run.state]
    losses = [value for _, value in each.course.eval_losses]
    went = f"{losses[0]:.3f} → {min(losses):.3f}" if losses else ""
    told = [EFFECTS[verdict(each.found).effect] if each.found else "", _voted(each.votes)]
    return [
        Content(each.run.name),
        Content.assemble((sign, colour), f" {each.run.state}"),
        Content(went),
        Content(", ".join(filter(None, told))),
    ]


def _voted(votes: Tally) -> str:
    return f"wins {votes.win_rate:.0%} of {plural(votes.votes, 'vote')}" if votes.votes else ""


def _more(run: Run) -> list[Content]:
    assert isinstance(run.spec, TrainSpec)
    seconds = took(run)
    return [
        Content(short_name(run.spec.base_model)),
        Content(time.strftime("%Y-%m-%d %H:%M", time.localtime(run.asked))),
        Content("" if seconds is None else duration(seconds)),
    ]
