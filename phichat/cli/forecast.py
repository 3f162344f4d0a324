"""What a training would take: shown before it begins, and asked about where it costs or will not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.cli.terminal import ask, can_ask, confirmed, narrate, out, size
from phichat.workflow.estimates import price, tight, time_needed

if TYPE_CHECKING:
    from phichat.backends.base import Estimate, TrainSpec
    from phichat.workflow import Project

HARDLY = "It will hardly fit. Lower --batch-size or --max-length, or take --method lora or another model."


async def tell_plan(project: Project, spec: TrainSpec) -> None:
    """Write the steps that training would take to standard output, and what it would cost."""
    for step in await project.plan(spec):
        out(f"{step.state:8}  {step.name}  {step.detail}".rstrip())
    tell_run(project, spec)
    estimate = await project.estimate(spec)
    tell_estimate(estimate)
    if tight(estimate):
        narrate(HARDLY)
    narrate(f"Cost: {price(estimate) or 'nothing'}.")
    project.affordable(estimate, spec, spec.max_usd)


def tell_run(project: Project, spec: TrainSpec) -> None:
    """Say what is trained, on how much, and what is probably a mistake in it."""
    from phichat.backends.workload import workload
    from phichat.workflow.doubts import doubts

    work = workload(spec)
    how = "all weights" if work.method == "full" else f"an adapter ({work.method})"
    held = f", {spec.dataset.eval_rows:,} held out" if spec.dataset.eval_rows else ""
    narrate(f"{spec.name}: {how} of {spec.base_model}, {work.rows:,} conversations{held}.")
    narrate(f"About {work.steps:,} steps of {work.rows_per_step} rows.")
    for question in doubts(project.config, spec):
        narrate(question)


async def agreed(project: Project, spec: TrainSpec, yes: bool) -> bool:
    """Whether to begin: what costs money is asked about, and what will hardly fit into memory.

    Raises:
        ConfigError: it costs money, and nobody can be asked.
        BackendError: it would fail.
        QuotaError: it may cost more than `--max-cost`, or than what is left of the budget.
    """
    estimate = await project.estimate(spec)
    tell_estimate(estimate)
    project.affordable(estimate, spec, spec.max_usd)
    cost = price(estimate)
    if cost and not confirmed(f"Training {spec.name} costs {cost}. Go on?", yes):
        return False
    if not tight(estimate):
        return True
    narrate(HARDLY)
    return yes or not can_ask() or ask("Try it all the same?", default=False)


def tell_estimate(estimate: Estimate) -> None:
    """Say how long it would take and how much memory, where somebody knows."""
    told = [time_needed(estimate)] if estimate.seconds else []
    if estimate.memory_bytes:
        low, high = map(size, estimate.memory_bytes)
        free = f" ({size(estimate.memory_free)} free)" if estimate.memory_free else ""
        told.append(f"{low} to {high} of memory{free}")
    if told:
        narrate(f"It takes {', '.join(told)}: {estimate.source}.")
