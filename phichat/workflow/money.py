"""Money: what was spent, what may still be, and the stop before the click."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from phichat.backends.base import DeploySpec, Estimate, TrainSpec, Value
from phichat.errors import BackendError, QuotaError
from phichat.events import Event, Status
from phichat.runs import FlowSpec

if TYPE_CHECKING:
    from phichat.runs import Ledger, Run

DAY_H = 24.0
"""Hours that a deployment without `ttl_hours` is counted for: nobody knows how long it will be there."""


def dollars(text: str) -> float:
    """An amount of US dollars as people type it.

    Raises:
        ValueError: it is none.
    """
    try:
        amount = float(text.removeprefix("US").removeprefix("$"))
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise ValueError(f"{text!r} is no amount of US dollars")
    return amount


class Cost(Value):
    """What a run has taken so far."""

    hours: float = 0.0
    """That it ran; waiting for a machine is not counted."""
    usd: float | None = 0.0
    """By list price; None: nobody knows the price."""


class Spending(Value):
    """What a project has spent on a backend, and goes on spending."""

    hours: float = 0.0
    usd: float | None = 0.0
    usd_per_hour: float | None = 0.0
    """Of all that is alive now; None: somebody cannot say."""
    budget: float | None = None

    @property
    def free(self) -> bool:
        """Whether nothing ever cost anything: there is nothing to tell."""
        return self.usd == 0 and self.usd_per_hour == 0

    @property
    def left(self) -> float | None:
        """What is left of the budget; None where there is none."""
        return None if self.budget is None else max(0.0, self.budget - (self.usd or 0.0))


class Meter:
    """What a run costs while it goes on; `feed` it the run's events in their order."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._began: float | None = None
        self._seconds = 0.0
        """Of the attempts that have ended."""

    def feed(self, event: Event) -> None:
        """Take in one event: it costs from the first word that it runs to the end of that attempt."""
        if not isinstance(event, Status):
            return
        if event.state == "running":
            self._began = event.at if self._began is None else self._began
        elif self._began is not None:
            self._seconds += event.at - self._began
            self._began = None

    def cost(self, at: float) -> Cost:
        """What it has cost until a moment, in seconds since the epoch."""
        running = 0.0 if self._began is None else at - self._began
        hours = max(0.0, self._seconds + running) / 3600
        if self._run.usd_rate is None:
            return Cost(hours=hours, usd=None if self._run.priced else 0.0)
        return Cost(hours=hours, usd=hours * self._run.usd_rate)


def cost(ledger: Ledger, run: Run) -> Cost:
    """What a run has taken until now, in all its attempts."""
    meter = Meter(run)
    for event in ledger.events(run.name):
        meter.feed(event)
    return meter.cost(run.ended or time.time())


def spent(ledger: Ledger, backend: str) -> Cost:
    """What all jobs on a backend have taken; the price is unknown as soon as that of one is.

    A batch through a flow is no job: its deployment is paid by the hour, asked or not.
    """
    jobs = [run for run in ledger.runs() if run.backend == backend and not isinstance(run.spec, FlowSpec)]
    costs = [cost(ledger, run) for run in jobs]
    known = [each.usd for each in costs if each.usd is not None]
    usd = sum(known) if len(known) == len(costs) else None
    return Cost(hours=sum(each.hours for each in costs), usd=usd)


def most(estimate: Estimate, spec: TrainSpec | DeploySpec) -> float | None:
    """The most that something is expected to cost; None where nobody knows."""
    if estimate.usd is None:
        return None
    hours = spec.ttl_hours or DAY_H if isinstance(spec, DeploySpec) else 0.0
    return estimate.usd[1] + (estimate.usd_per_hour or 0.0) * hours


def affordable(
    estimate: Estimate, spec: TrainSpec | DeploySpec, *, max_usd: float | None, spending: Spending
) -> float | None:
    """The most that may be spent on something; None where nobody has set a limit.

    Raises:
        BackendError: the backend says that it would fail.
        QuotaError: it may cost more than that, or nobody knows what it costs.
    """
    if estimate.refusal:
        raise BackendError(estimate.refusal, estimate.hint)
    limits = [limit for limit in (max_usd, spending.left) if limit is not None]
    if not limits or estimate.free:
        return None
    limit = min(limits)
    if spending.budget is not None and spending.usd is None:
        raise QuotaError(
            "Nobody knows what was spent so far, so the budget cannot be kept.",
            "Take the budget away, and limit each run with --max-cost.",
        )
    expected = most(estimate, spec)
    if expected is None:
        raise QuotaError(
            f"Nobody knows what {spec.name} costs, so no limit can be kept: {estimate.source or 'no price'}.",
            "Choose a machine size whose price is known, or take --max-cost and the budget away.",
        )
    if expected > limit:
        raise QuotaError(f"{_told(spec, expected)}, and {_limit(limit, max_usd, spending)}.", _advice(spec))
    return limit


def _told(spec: TrainSpec | DeploySpec, expected: float) -> str:
    if isinstance(spec, TrainSpec):
        return f"Training {spec.name} may cost up to US${expected:.2f}"
    hours = f"in {spec.ttl_hours:g} hours" if spec.ttl_hours else "in a day"
    return f"Deploying {spec.name} costs US${expected:.2f} {hours}"


def _limit(limit: float, max_usd: float | None, spending: Spending) -> str:
    if limit == max_usd:
        return f"--max-cost is US${limit:.2f}"
    return f"US${limit:.2f} of the budget of US${spending.budget:.2f} is left"


def _advice(spec: TrainSpec | DeploySpec) -> str:
    if isinstance(spec, TrainSpec):
        return "Raise the limit, or train less: --epochs, --max-steps, --method lora, or a smaller model."
    return "Raise the limit, or set a shorter deploy.ttl_hours, or choose a smaller deploy.size."
