"""What a training would be before it is one: on which data, in how many steps, at what price."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phichat import models
from phichat.backends.base import Estimate, TrainSpec
from phichat.backends.workload import Workload, workload
from phichat.errors import BackendError, NotFoundError
from phichat.models.presets import default_preset
from phichat.runs import Run
from phichat.workflow.doubts import doubts
from phichat.workflow.money import Spending

if TYPE_CHECKING:
    from phichat.config.train import TrainConfig
    from phichat.data import Prepared
    from phichat.workflow.project import Project


@dataclass(frozen=True)
class Outlook:
    """One training as it would be started now."""

    prepared: Prepared
    spec: TrainSpec
    work: Workload
    estimate: Estimate
    preset: str
    """The one that holds, chosen or not."""
    refusal: str = ""
    """Why it may not be started: it would fail, or costs more than may be spent."""
    before: Run | None = None
    """The run of exactly this work, if there is one: it goes on, or is done once more."""
    spending: Spending | None = None
    """What was spent so far, and may still be."""
    doubts: tuple[str, ...] = ()
    """What is probably a mistake in it."""


async def outlook(
    project: Project, train: TrainConfig | None = None, max_usd: float | None = None
) -> Outlook:
    """What training on the current data would be, as configured or with another `[train]`.

    It may cost `max_usd` at most; None: as much as the budget has left.

    Raises:
        DataError: no data was prepared.
        ConfigError: there is no such base model.
    """
    prepared, spec, work, before = await asyncio.to_thread(_look, project, train)
    spec = spec.model_copy(update={"max_usd": max_usd})
    chosen = (train or project.config.train).preset
    preset = chosen or default_preset(models.resolve(spec.base_model).entry)
    estimate = await project.estimate(spec)
    refusal = ""
    try:
        project.affordable(estimate, spec, spec.max_usd)
    except BackendError as error:
        refusal = error.message
    found = await asyncio.to_thread(lambda: tuple(doubts(project.config, spec)))
    spending = await asyncio.to_thread(project.training.purse.spending)
    return Outlook(prepared, spec, work, estimate, preset, refusal, before, spending, found)


def _look(project: Project, train: TrainConfig | None) -> tuple[Prepared, TrainSpec, Workload, Run | None]:
    training = project.training
    prepared = training.prepared()
    spec = training.spec(prepared.dataset, train=train)
    before = None
    try:
        before = training.ledger.run(spec.name)
    except NotFoundError:
        return prepared, spec, workload(spec), None
    if before.state == "succeeded":
        # What is done is done: it would be another run.
        spec = training.spec(prepared.dataset, train=train, again=True)
    return prepared, spec, workload(spec), before
