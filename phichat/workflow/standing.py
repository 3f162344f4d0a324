"""Where one stands in the work: which of its steps are done, what goes on, and what that costs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from phichat.backends.base import Job, Resource, TrainSpec
from phichat.data.manifest import current
from phichat.data.told import plural
from phichat.errors import PhichatError
from phichat.paths import PROJECT_FILE
from phichat.runs import Run
from phichat.workflow.project import Project

ANSWER_SECONDS = 20.0
"""How long a backend may take to say what is alive; without an answer nothing is said about it."""


@dataclass(frozen=True)
class Standing:
    """What of the work is done, by the stage's name in a few words; what is not in there is not done."""

    done: Mapping[str, str] = field(default_factory=dict)
    running: tuple[Run, ...] = ()
    """Runs of this backend that have not ended, as far as the ledger knows; the newest first."""
    serving: str = ""
    """The model that the current deployment answers with; empty where there is none."""
    usd_per_hour: float | None = 0.0
    """What all that is alive costs; None: something, but nobody could say how much."""
    costing: tuple[Resource, ...] = ()
    """What of it costs."""
    questions: tuple[str, ...] = ()
    """What that model can be tried with: questions that were held out from what it has learned."""


async def standing(project: Project) -> Standing:
    """How far a project is. What a backend does not tell in time counts as not there."""
    here = await asyncio.to_thread(_on_disk, project)
    serving, costing = await asyncio.gather(_serving(project), _costing(project))
    done = dict(here.done)
    model = serving.id if isinstance(serving, Job) else serving or ""
    questions: tuple[str, ...] = ()
    if isinstance(serving, Job):
        done["deploy"] = f"{model} answers"
        questions = await asyncio.to_thread(_held_out, project, serving)
    rates = [each.usd_per_hour for each in costing]
    cost = None if None in rates else sum(rate or 0.0 for rate in rates)
    return Standing(done, here.running, model, cost, tuple(costing), questions)


def _on_disk(project: Project) -> Standing:
    done: dict[str, str] = {}
    if project.root:
        done["configure"] = f"{PROJECT_FILE} in {project.root.name}"
    if prepared := current(project.state / "data"):
        rows = prepared.manifest.counts.train
        done["data"] = f"{plural(rows, 'row')} of {prepared.manifest.source}"
    here = [run for run in project.training.ledger.runs() if run.backend == project.config.backend]
    trained = [run for run in here if isinstance(run.spec, TrainSpec) and run.state == "succeeded"]
    if trained:
        done["train"] = f"{trained[0].name} succeeded"
    return Standing(done, tuple(run for run in here if run.job and not run.finished))


def _held_out(project: Project, job: Job) -> tuple[str, ...]:
    """The questions that a run asked its model at each evaluation."""
    spec = next((run.spec for run in project.training.ledger.runs() if run.job == job), None)
    probes = spec.hyperparameters.get("probes") if isinstance(spec, TrainSpec) else None
    asked = probes if isinstance(probes, list) else []
    return tuple(str(each["prompt"] if isinstance(each, dict) else each) for each in asked)


async def _serving(project: Project) -> Job | str | None:
    with contextlib.suppress(PhichatError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            serving = await project.serving.current()
        return serving[1] if serving else None
    return None


async def _costing(project: Project) -> list[Resource]:
    """All that is alive and costs by the hour."""
    with contextlib.suppress(PhichatError, TimeoutError):
        if project.backend.supports("resources"):
            async with asyncio.timeout(ANSWER_SECONDS):
                return [each for each in await project.resources() if each.usd_per_hour != 0]
    return []
