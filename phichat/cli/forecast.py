"""What is about to be done and what it takes: shown before it begins, and asked about where it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.cli.terminal import ask, can_ask, confirmed, narrate, out, out_json, size
from phichat.errors import AuthError, BackendError
from phichat.events import Step, dump
from phichat.workflow.estimates import price, tight, time_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phichat.backends.base import Estimate, TrainSpec
    from phichat.workflow import Project

HARDLY = "It will hardly fit. Lower --batch-size or --max-length, or take {other}."


async def tell_plan(project: Project, spec: TrainSpec, as_json: bool) -> None:
    """Write the steps that training would take to standard output, and what it would cost.

    Raises:
        BackendError: it would fail, or nobody is signed in: what it would cost is told all the same then.
        QuotaError: it may cost more than `--max-cost`, or than what is left of the budget.
    """
    estimate = await _possible(project, spec)
    unknown: AuthError | None = None
    try:
        show_steps(await project.plan(spec), as_json)
    except AuthError as error:
        unknown = error
    tell_run(project, spec)
    tell_estimate(estimate)
    if tight(estimate):
        narrate(_hardly(spec))
    tell_cost(estimate, as_json)
    project.affordable(estimate, spec, spec.max_usd)
    if unknown:
        raise unknown


def show_steps(steps: Sequence[Step], as_json: bool) -> None:
    """Write steps to standard output, one a line."""
    for step in steps:
        out(dump(step) if as_json else step_line(step))


def step_line(step: Step) -> str:
    """A step, for people."""
    return f"{step.state:8}  {step.name}  {step.detail}".rstrip()


def tell_cost(estimate: Estimate, as_json: bool) -> None:
    """Say what it would cost; for a script, with all that is known of time and memory."""
    if as_json:
        out_json("estimate", estimate.model_dump())
    narrate(f"Cost: {price(estimate) or 'nothing'}.")


def tell_run(project: Project, spec: TrainSpec) -> None:
    """Say what is trained, on how much, and what is probably a mistake in it."""
    from phichat.backends.workload import workload
    from phichat.data.told import plural
    from phichat.workflow.doubts import doubts

    work = workload(spec)
    how = "all weights" if work.method == "full" else f"an adapter ({work.method})"
    held = f", {spec.dataset.eval_rows:,} held out" if spec.dataset.eval_rows else ""
    narrate(f"{spec.name}: {how} of {spec.base_model}, {plural(work.rows, 'conversation')}{held}.")
    narrate(f"About {plural(work.steps, 'step')} of {plural(work.rows_per_step, 'row')}.")
    for question in doubts(project.config, spec):
        narrate(question)


async def agreed(project: Project, spec: TrainSpec, yes: bool) -> bool:
    """Whether to begin: what costs money is asked about, and what will hardly fit into memory.

    Raises:
        ConfigError: it costs money, and nobody can be asked.
        BackendError: it would fail.
        QuotaError: it may cost more than `--max-cost`, or than what is left of the budget.
    """
    estimate = await _possible(project, spec)
    tell_estimate(estimate)
    project.affordable(estimate, spec, spec.max_usd)
    cost = price(estimate)
    if cost:
        await project.plan(spec)  # who is not signed in has nothing to decide about yet
    if cost and not confirmed(f"Training {spec.name} costs {cost}. Go on?", yes):
        return False
    if not tight(estimate):
        return True
    narrate(_hardly(spec))
    return yes or not can_ask() or ask("Try it all the same?", default=False)


async def _possible(project: Project, spec: TrainSpec) -> Estimate:
    """What a training takes that can begin at all: of another one nobody need know.

    Raises:
        BackendError: it would fail.
    """
    estimate = await project.estimate(spec)
    if estimate.refusal:
        raise BackendError(estimate.refusal, estimate.hint)
    return estimate


def _hardly(spec: TrainSpec) -> str:
    from phichat.backends.workload import workload

    other = "--method lora or another model" if workload(spec).method == "full" else "a smaller model"
    return HARDLY.format(other=other)


def tell_estimate(estimate: Estimate) -> None:
    """Say how long it would take and how much memory, where somebody knows."""
    told = [time_needed(estimate)] if estimate.seconds else []
    if estimate.memory_bytes:
        low, high = map(size, estimate.memory_bytes)
        free = f" ({size(estimate.memory_free)} free)" if estimate.memory_free else ""
        told.append(f"{low} to {high} of memory{free}")
    if told:
        narrate(f"It takes {', '.join(told)}: {estimate.source}.")
