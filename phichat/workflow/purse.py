"""The purse of a project on a backend: what was spent, what is set aside, and what more may be spent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from phichat.backends.base import AnyBackend, EvalSpec, TrainSpec
from phichat.runs import FlowSpec, Ledger, Run
from phichat.workflow.deployed import Deployed
from phichat.workflow.guard import Guard
from phichat.workflow.money import Spending, affordable, allowance, cost, promised, spent


class Purse:
    """Grants jobs what they may cost, within the budget if there is one."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        deployed: Deployed,
        guard: Guard,
        backend: Callable[[], AnyBackend],
        refresh: Callable[[], Awaitable[object]],
    ) -> None:
        self.deployed = deployed
        self._name = name
        """The backend's, as the ledger has it."""
        self._ledger = ledger
        self._guard = guard
        self._backend = backend
        self._refresh = refresh
        """Finds out which jobs have ended."""

    @property
    def budget(self) -> float | None:
        """The most that the project may spend on this backend; None: nobody has said."""
        return getattr(self._backend().settings, "budget", None)

    def limit(self, spec: TrainSpec) -> float | None:
        """The most that a training may cost: what is asked for, within the budget; None: no limit."""
        limits = [each for each in (spec.max_usd, self.spending().left) if each is not None]
        return min(limits, default=None)

    def spending(self) -> Spending:
        """What has cost on this backend by list price, and what may still, as far as this machine knows."""
        told = spent(self._ledger, self._name)
        longest: float | None = getattr(self._backend().settings, "time_limit", None)
        aside = promised(self._ledger, self._name, longest)
        return Spending(
            hours=told.hours,
            usd=told.usd,
            deployed=self.deployed.cost(),
            promised=aside,
            budget=self.budget,
        )

    async def settle(self, needed: float | None = None) -> None:
        """See which jobs have ended meanwhile: what was set aside for them is left of the budget again.

        `needed`: nobody looks as long as so much is left.
        """
        if self.budget is None:
            return
        told = await asyncio.to_thread(self.spending)
        if told.promised and (needed is None or needed > (told.left or 0.0)):
            await self._refresh()

    async def granted(self, run: Run) -> Run:
        """The run with its price and its limit; one that is under way already is not asked about again.

        Raises:
            QuotaError: it may cost more than its own limit, or than what is left of the budget.
        """
        spec = run.spec
        if isinstance(spec, FlowSpec):
            return run
        if run.job is not None and run.state in ("queued", "preparing", "running", "succeeded"):
            return _limited(run, spec, self._granted(run.name))
        await self.settle()
        if run.job is not None:
            run = run.model_copy(update={"usd_before": cost(self._ledger, run).usd or 0.0})
        if isinstance(spec, EvalSpec):
            return self._as_dear_as_training(run, spec)
        backend = self._backend()
        if not backend.supports("estimate"):
            return run
        estimate = await self._guard.call(backend.estimate(spec))
        limit = affordable(estimate, spec, max_usd=spec.max_usd, spending=self.spending())
        run = run.model_copy(update={"priced": not estimate.free, "usd_rate": estimate.usd_rate})
        return _limited(run, spec, limit)

    def _as_dear_as_training(self, run: Run, spec: EvalSpec) -> Run:
        """An evaluation runs where the model was trained, for the same money an hour.

        Raises:
            QuotaError: nothing of the budget is left, or nobody knows what it costs.
        """
        trained = next((each for each in self._ledger.runs() if each.job == spec.model), None)
        if trained is None or not trained.priced:
            return run
        rate = trained.usd_rate
        limit = allowance(spec.name, rate, max_usd=spec.max_usd, spending=self.spending())
        return _limited(run.model_copy(update={"priced": True, "usd_rate": rate}), spec, limit)

    def _granted(self, name: str) -> float | None:
        """What a run under way may cost: asking for it again does not change that."""
        spec = self._ledger.run(name).spec
        return None if isinstance(spec, FlowSpec) else spec.max_usd


def _limited(run: Run, spec: TrainSpec | EvalSpec, limit: float | None) -> Run:
    return run.model_copy(update={"spec": spec.model_copy(update={"max_usd": limit})})
