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


WAIT = (
    "Wait until they have ended, or raise the budget; one that starts with --max-cost sets aside no more "
    "than that."
)
"""What to do where the budget is neither left nor spent."""


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
    """Of all jobs; None: nobody knows the price of one."""
    deployed: float = 0.0
    """What deployments have cost until now, as far as this machine has seen them."""
    promised: float = 0.0
    """What jobs under way may still cost: it is set aside until they have ended."""
    usd_per_hour: float | None = 0.0
    """Of all that is alive now; None: somebody cannot say."""
    budget: float | None = None

    @property
    def free(self) -> bool:
        """Whether nothing ever cost anything: there is nothing to tell."""
        return self.usd == 0 and self.deployed == 0 and self.usd_per_hour == 0

    @property
    def left(self) -> float | None:
        """What is left of the budget, neither spent nor promised; None where there is none."""
        if self.budget is None:
            return None
        return max(0.0, self.budget - (self.usd or 0.0) - self.deployed - self.promised)


class Meter:
    """What a run costs while it goes on; `feed` it the run's events in their order."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._began: float | None = None
        self._heard = 0.0
        """When the last word of the attempt came."""
        self._seconds = 0.0
        """Of the attempts that have ended."""

    def feed(self, event: Event) -> None:
        """Take in one event: it costs from the first word that it runs to the end of that attempt."""
        if isinstance(event, Status) and event.state == "running":
            self._began = event.at if self._began is None else self._began
        elif isinstance(event, Status) and self._began is not None:
            # Another attempt says that the one before has ended, but not when.
            self._seconds += (event.at if event.finished else self._heard) - self._began
            self._began = None
        self._heard = event.at

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
    """What all jobs on a backend have taken; the price is unknown as soon as that of one is."""
    costs = [cost(ledger, run) for run in _jobs(ledger, backend)]
    known = [each.usd for each in costs if each.usd is not None]
    usd = sum(known) if len(known) == len(costs) else None
    return Cost(hours=sum(each.hours for each in costs), usd=usd)


def promised(ledger: Ledger, backend: str, longest_h: float | None) -> float:
    """What the jobs under way on a backend may still cost until they are ended: for money, or after a time.

    `longest_h`: hours after which one without a limit of money is ended; None: nobody knows.
    """
    total = 0.0
    for run in _jobs(ledger, backend):
        if run.finished or run.job is None or run.usd_rate is None:
            continue
        assert not isinstance(run.spec, FlowSpec)
        limit = run.spec.max_usd
        if limit is None:
            limit = (longest_h or 0.0) * run.usd_rate
        total += max(0.0, limit - ((cost(ledger, run).usd or 0.0) - run.usd_before))
    return total


def _jobs(ledger: Ledger, backend: str) -> list[Run]:
    """All but batches through a flow: their deployment is paid by the hour, asked or not."""
    return [run for run in ledger.runs() if run.backend == backend and not isinstance(run.spec, FlowSpec)]


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
    _countable(spending)
    expected = most(estimate, spec)
    if expected is None:
        raise QuotaError(
            f"Nobody knows what {spec.name} costs, so no limit can be kept: {estimate.source or 'no price'}.",
            "Choose a machine size whose price is known, or take --max-cost and the budget away.",
        )
    if expected > limit:
        advice = WAIT if limit != max_usd and spending.promised else _advice(spec)
        raise QuotaError(f"{_told(spec, expected)}, and {_limit(limit, max_usd, spending)}.", advice)
    return limit


def allowance(
    name: str, usd_rate: float | None, *, max_usd: float | None, spending: Spending
) -> float | None:
    """The most that an evaluation may cost, whose time nobody knows before; None where there is no limit.

    Raises:
        QuotaError: nothing of the budget is left, or nobody knows what it costs.
    """
    limits = [limit for limit in (max_usd, spending.left) if limit is not None]
    if not limits:
        return None
    _countable(spending)
    if usd_rate is None:
        told = f"Nobody knows what evaluating {name} costs, so no limit can be kept."
        raise QuotaError(told, "Take the budget away, or evaluate on a machine whose price is known.")
    if spending.left == 0:
        told = f"Nothing of the budget of US${spending.budget:.2f} is left to evaluate {name} with"
        raise QuotaError(f"{told}{_set_aside(spending)}.", WAIT if spending.promised else "Raise the budget.")
    return min(limits)


def _countable(spending: Spending) -> None:
    """See that the budget can be kept.

    Raises:
        QuotaError: nobody knows what was spent.
    """
    if spending.budget is not None and spending.usd is None:
        raise QuotaError(
            "Nobody knows what was spent so far, so the budget cannot be kept.",
            "Take the budget away, and limit each run with --max-cost.",
        )


def _told(spec: TrainSpec | DeploySpec, expected: float) -> str:
    if isinstance(spec, TrainSpec):
        return f"Training {spec.name} may cost up to US${expected:.2f}"
    hours = f"in {spec.ttl_hours:g} hours" if spec.ttl_hours else "in a day"
    return f"Deploying {spec.name} costs US${expected:.2f} {hours}"


def _limit(limit: float, max_usd: float | None, spending: Spending) -> str:
    if limit == max_usd:
        return f"--max-cost is US${limit:.2f}"
    return f"US${limit:.2f} of the budget of US${spending.budget:.2f} is left{_set_aside(spending)}"


def _set_aside(spending: Spending) -> str:
    """What of the budget nobody has spent yet, but somebody may."""
    if not spending.promised:
        return ""
    return f" while US${spending.promised:.2f} is set aside for jobs under way"


def _advice(spec: TrainSpec | DeploySpec) -> str:
    if isinstance(spec, TrainSpec):
        return "Raise the limit, or train less: --epochs, --max-steps, --method lora, or a smaller model."
    return "Raise the limit, or set a shorter deploy.ttl_hours, or choose a smaller deploy.size."
