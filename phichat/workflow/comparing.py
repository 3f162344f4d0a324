"""Two models side by side: which two, where they answer, and how people voted."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from phichat import models
from phichat.backends.base import Deployment, Job, Report, Value
from phichat.errors import NotFoundError, PhichatError
from phichat.workflow.votes import (
    VOTES_FILE,
    Tally,
    Vote,
    Votes,
    base_title,
    counted,
    short_title,
    tuned_title,
)

if TYPE_CHECKING:
    from phichat.workflow.project import Project

BRIEF = "Answer in one short sentence."
"""What the same model is told on one side, where there is nothing else to compare."""


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


def votes_on(project: Project, pair: Pair) -> Votes:
    """Where the votes on a pair are kept: with the run that is judged, else with the project."""
    folder = project.training.ledger.directory / pair.run if pair.run else project.state
    return Votes(folder / VOTES_FILE)


def tally(project: Project, pair: Pair) -> Tally:
    """How the votes on a pair stand."""
    return counted(votes_on(project, pair).between([pair.left.title], pair.right.title))


def keep(project: Project, pair: Pair, vote: Vote) -> Tally:
    """Keep a vote on a pair, in the report of its run too; returns how the votes stand then.

    Raises:
        DataError: a file cannot be written.
    """
    votes_on(project, pair).add(vote)
    if pair.run:
        project.training.complete_report(project.training.ledger.run(pair.run))
    return tally(project, pair)


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
        plain = Side(title=f"{short_title(name)}, as configured", model=name, system=system)
        return Pair(left=plain, right=Side(title=f"{short_title(name)}, brief", model=name, system=BRIEF))
    base = getattr(found.spec, "base_model", project.base_model)
    return Pair(
        left=Side(title=base_title(base), model=base, system=system),
        right=Side(title=tuned_title(found.name), model=training.job(found), system=system),
        run=found.name,
    )


async def sides(project: Project) -> list[Side]:
    """What can be compared: the project's models that were tuned, then the catalogue."""
    runs = await asyncio.to_thread(project.training.ledger.runs)
    tuned = [
        Side(title=tuned_title(run.name), model=project.training.job(run))
        for run in runs
        if run.state == "succeeded" and run.job and run.backend == project.config.backend
    ]
    names = dict.fromkeys([project.base_model, *models.catalogue()])
    return [*tuned, *(Side(title=short_title(name), model=name) for name in names)]


async def serving(project: Project, side: Side, report: Report) -> Deployment:
    """Where a side answers, beside the current deployment; made now if making it is free.

    Raises:
        NotFoundError: it is not deployed, and deploying it costs money.
    """
    named = side.model.id if isinstance(side.model, Job) else models.resolve(side.model).name
    name = re.sub(r"[^a-z0-9.-]+", "-", named.lower()).strip("-.")[:32]
    for state in await project.deployments():
        ours = state.healthy and not state.foreign
        if ours and name in (state.deployment.id, state.model):
            return state.deployment
    spec = project.serving.spec(side.model, name)
    if not (await project.estimate(spec)).free:
        raise NotFoundError(f"{side.title} is not deployed.", f"phichat deploy {named}")
    return await project.serving.beside(spec, report)


def told(problem: PhichatError) -> str:
    """An error with its hint, as one text."""
    return f"{problem.message} {problem.hint}".strip()
