"""Two models side by side: which two, where they answer, and how people voted."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field, ValidationError

from phichat import models
from phichat.backends.base import Deployment, Job, Report, Value
from phichat.errors import DataError, NotFoundError, PhichatError

if TYPE_CHECKING:
    from phichat.workflow.project import Project

VOTES = "votes.jsonl"
BRIEF = "Answer in one short sentence."
"""What the same model is told on one side, where there is nothing else to compare."""

Winner = Literal["left", "right", "tie"]


class Side(Value):
    """One of two that answer the same questions."""

    title: str
    model: Job | str
    system: str = ""


class Pair(Value):
    """What is compared; of base and tuned, the tuned one is on the right."""

    left: Side
    right: Side
    run: str = ""
    """The run that made the right one, with which the votes are kept; or empty."""


class Vote(Value):
    """Which of two answers a person found better."""

    at: float = Field(default_factory=time.time)
    """Seconds since the epoch."""
    left: str
    right: str
    """The titles of the sides."""
    question: str
    answers: tuple[str, str]
    winner: Winner
    blind: bool = False
    """Whether the person did not know which was which."""


class Tally(NamedTuple):
    """How the votes on a pair stand."""

    left: int
    right: int
    ties: int

    @property
    def votes(self) -> int:
        """How many there are."""
        return self.left + self.right + self.ties

    @property
    def win_rate(self) -> float:
        """The right one's share, a tie being half a win; 0 where nobody voted."""
        return (self.right + self.ties / 2) / self.votes if self.votes else 0.0


class Votes:
    """The votes in one file, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, vote: Vote) -> None:
        """Keep a vote.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(vote.model_dump_json() + "\n")
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def tally(self, pair: Pair) -> Tally:
        """The votes on these two; a line that a crash cut off does not count."""
        counts = {"left": 0, "right": 0, "tie": 0}
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            try:
                vote = Vote.model_validate_json(line)
            except ValidationError:
                continue
            if (vote.left, vote.right) == (pair.left.title, pair.right.title):
                counts[vote.winner] += 1
        return Tally(counts["left"], counts["right"], counts["tie"])


def votes_on(project: Project, pair: Pair) -> Votes:
    """Where the votes on a pair are kept: with the run that is judged, else with the project."""
    folder = project.training.ledger.directory / pair.run if pair.run else project.state
    return Votes(folder / VOTES)


async def pair_of(project: Project, run: str | None = None) -> Pair:
    """Base and tuned of a run, or of the newest that succeeded; where there is none, two system prompts.

    Raises:
        NotFoundError: there is no such run.
    """
    training = project.training
    found = training.run(run) if run else await training.newest_success()
    system = project.config.chat.system
    if found is None:
        name = project.base_model
        plain = Side(title=f"{_short(name)}, as configured", model=name, system=system)
        return Pair(left=plain, right=Side(title=f"{_short(name)}, brief", model=name, system=BRIEF))
    base = getattr(found.spec, "base_model", project.base_model)
    return Pair(
        left=Side(title=f"base: {_short(base)}", model=base, system=system),
        right=Side(title=f"tuned: {found.name}", model=training.job(found), system=system),
        run=found.name,
    )


async def sides(project: Project) -> list[Side]:
    """What can be compared: the project's models that were tuned, then the catalogue."""
    runs = await asyncio.to_thread(project.training.ledger.runs)
    tuned = [
        Side(title=f"tuned: {run.name}", model=project.training.job(run))
        for run in runs
        if run.state == "succeeded" and run.job and run.backend == project.config.backend
    ]
    names = dict.fromkeys([project.base_model, *models.catalogue()])
    return [*tuned, *(Side(title=_short(name), model=name) for name in names)]


async def serving(project: Project, side: Side, report: Report) -> Deployment:
    """Where a side answers, beside the current deployment; made now if making it is free.

    Raises:
        NotFoundError: it is not deployed, and deploying it costs money.
    """
    named = side.model.id if isinstance(side.model, Job) else models.resolve(side.model).name
    name = re.sub(r"[^a-z0-9.-]+", "-", named.lower()).strip("-.")[:32]
    for state in await project.deployments():
        if state.healthy and name in (state.deployment.id, state.model):
            return state.deployment
    spec = project.deploy_spec(side.model, name)
    if not (await project.estimate(spec)).free:
        raise NotFoundError(f"{side.title} is not deployed.", f"phichat deploy {named}")
    return await project.serve(spec, report)


def told(problem: PhichatError) -> str:
    """An error with its hint, as one text."""
    return f"{problem.message} {problem.hint}".strip()


def _short(base_model: str) -> str:
    return re.split(r"[\\/]", base_model.rstrip("\\/"))[-1].partition("@")[0]
