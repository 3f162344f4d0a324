"""The runs of a project: training and evaluation, started once, watched from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from phichat import models
from phichat.backends.absent import no_model
from phichat.backends.base import AnyBackend, Dataset, EvalSpec, Job, Report, TrainSpec
from phichat.config import Config
from phichat.config.secret import offer_hf_token
from phichat.errors import (
    AuthError,
    ConfigError,
    DataError,
    NotFoundError,
    PhichatError,
    QuotaError,
    UnsupportedError,
)
from phichat.events import Event, Status
from phichat.runs import NAME, FlowSpec, Ledger, Run, Spec, run_name
from phichat.workflow.course import Course
from phichat.workflow.deployed import FOLDER, Deployed
from phichat.workflow.evaluation import Evaluation, evaluation, with_votes
from phichat.workflow.guard import Guard
from phichat.workflow.purse import Purse
from phichat.workflow.votes import Tally, Vote, counted, into_report, on_run

if TYPE_CHECKING:
    from phichat.config.train import TrainConfig
    from phichat.data import Prepared

FIRST_WORD_S, QUIET_S = 10.0, 1.0
"""How long a backend may take to begin the story of a run, and to go on, before it counts as told for now."""
REFUSED = (AuthError, NotFoundError, QuotaError, UnsupportedError)
"""Errors after which nobody has taken a job: in others it may have arrived all the same."""
BREATH = 100
"""Events of a story known already after which others get their turn."""
FREE = frozenset(
    {"log_steps", "probes", "answer_tokens", "evaluate", "mlflow_tracking_uri", "mlflow_experiment"}
)
"""Hyperparameters that may change when a run goes on: they change nothing in what is learned."""


class Training:
    """What was trained, is being trained, and will be, on one backend."""

    def __init__(self, config: Config, state: Path, guard: Guard, backend: Callable[[], AnyBackend]) -> None:
        self.ledger = Ledger(state / "runs")
        self._config = config
        self._data = state / "data"
        self._guard = guard
        self._backend = backend
        deployed = Deployed(state / FOLDER / f"{config.backend}.json")
        self.purse = Purse(config.backend, self.ledger, deployed, guard, backend, self.refresh)

    def prepared(self) -> Prepared:
        """The data that was prepared last.

        Raises:
            DataError: there is none.
        """
        from phichat.data import current

        found = current(self._data)
        if found is None:
            hint = "phichat data FILE, or to try it with ours: phichat data demo"
            raise DataError("There is no data to train on yet.", hint)
        return found

    def spec(
        self,
        dataset: Dataset,
        *,
        name: str | None = None,
        again: bool = False,
        train: TrainConfig | None = None,
    ) -> TrainSpec:
        """What training on this data would be, as configured; `again`: by a name that no run has.

        `train` takes the place of the configured `[train]`.

        Raises:
            ConfigError: there is no such base model, no run can have that name, or it is another one's.
        """
        from phichat.workflow.recipe import recipe

        if name and not NAME.fullmatch(name):
            hint = "Begin with a letter or a digit; up to 99 letters, digits, '-', '_' and '.' may follow."
            raise ConfigError(f"{name!r} is no name for a run.", hint)
        base = self._config.base_model or models.DEFAULT
        told = recipe(self._config, base, dataset, train)
        spec = TrainSpec(name=name or "", dataset=dataset, base_model=base, hyperparameters=told)
        if not name:
            ref = models.resolve(base)
            label = ref.folder.name if ref.folder else ref.name
            spec = spec.model_copy(update={"name": run_name(spec, label, self._config.backend)})
        if again:
            return spec.model_copy(update={"name": self.ledger.free_name(spec.name)})
        self._known(spec)
        return spec

    async def start(self, spec: TrainSpec | EvalSpec, report: Report) -> Run:
        """Start a run, or find it; `watch` tells how it goes.

        One that succeeded is returned as it is; one that failed or was cancelled goes on from its last
        complete checkpoint.

        Raises:
            ConfigError: the run of that name is another one.
            QuotaError: it may cost more than `max_usd`, or than what is left of the budget.
            BackendError: the backend does not take it.
        """
        run = await self.purse.granted(self._known(spec))
        assert not isinstance(run.spec, FlowSpec), "a batch through a flow is nobody's to continue"
        spec = run.spec
        new = not any(each.name == run.name for each in self.ledger.runs())
        asked = time.time()
        # Written before the call: whatever happens in it, the next one finds the job by the same name.
        run = self.ledger.write(run)
        if isinstance(spec, TrainSpec):
            await offer_token(spec.base_model)
        try:
            job = await self._guard.call(self._backend().submit(spec, report))
        except REFUSED as error:
            self._refused(run, error, new=new)
            raise
        if run.job == job and run.state == "succeeded":
            return run
        going = {"job": job, "state": "running", "detail": "", "ended": None}
        return self.ledger.write((run if new else run.again(asked)).model_copy(update=going))

    def run(self, name: str | None = None) -> Run:
        """The run of that name, or the newest training; on this backend.

        Raises:
            NotFoundError: there is none.
            ConfigError: it is on another backend.
        """
        if name is None:
            return self.ledger.newest(self._config.backend)
        return self._here(self.ledger.run(name))

    async def meant(self, name: str | None = None) -> Run:
        """The run of that name; without one what is under way, else the newest training.

        Raises:
            NotFoundError: there is none.
            ConfigError: it is on another backend.
        """
        if name is not None:
            return self.run(name)
        await self.refresh()
        return self.ledger.going(self._config.backend) or self.run()

    async def newest_success(self, base_model: str | None = None) -> Run | None:
        """The newest training that succeeded, of any base model or of one, after a look at the others."""
        await self.refresh()
        try:
            return self.ledger.newest(self._config.backend, succeeded=True, base_model=base_model)
        except NotFoundError:
            return None

    async def watch(self, name: str) -> AsyncGenerator[Event, None]:
        """A run's events from its first, then as they come, to exactly one finished `Status`.

        Raises:
            NotFoundError: there is no such run.
        """
        run = self.ledger.run(name)
        log = self.ledger.events(name)
        if run.finished:
            for event in log:
                # An attempt that failed is history once another one has gone on from it.
                if not (isinstance(event, Status) and event.finished):
                    yield event
            yield Status(state=run.state, detail=run.detail, at=run.ended or run.created)
            return
        async with contextlib.aclosing(self._guard.stream(self._backend().watch(self.job(run)))) as events:
            await asyncio.to_thread(log.look)
            number = 0
            async for event in events:
                # A plugin need not number its events: their order does.
                place = number if event.seq is None else event.seq
                event = event.model_copy(update={"seq": place})
                number += 1
                if place > log.last:
                    await asyncio.to_thread(log.append, event)
                elif number % BREATH == 0:
                    await asyncio.sleep(0)
                if isinstance(event, Status):
                    await asyncio.to_thread(self.ledger.note, name, event)
                yield event

    async def refresh(self) -> list[Run]:
        """Every run, the newest first, after a look at those that were not finished."""
        from phichat.workflow.batches import bury

        await asyncio.to_thread(bury, self.ledger)
        here = [run for run in self.ledger.runs() if run.backend == self._config.backend]
        await asyncio.gather(*(self._catch_up(run) for run in here if run.job and not run.finished))
        return self.ledger.runs()

    async def cancel(self, name: str) -> None:
        """End a run; one that is finished stays as it is."""
        run = self.ledger.run(name)
        if run.finished:
            return
        if run.job is None and not isinstance(run.spec, FlowSpec):
            await self._give_up(self._here(run))
        else:
            await self._guard.call(self._backend().cancel(self.job(run)))

    async def fetch(self, name: str, directory: Path, report: Report) -> Path:
        """Bring the model that a run made into a folder of this machine."""
        run = self.ledger.run(name)
        return await self._guard.call(self._backend().fetch(self.job(run), directory, report))

    def logs(self, name: str) -> AsyncGenerator[str, None]:
        """The lines that a run has written so far."""
        run = self.ledger.run(name)
        return self._guard.stream(self._backend().logs(self.job(run)))

    def course(self, name: str) -> Course:
        """How a run went, as far as that is kept on this machine; `watch` goes on from there."""
        course = Course()
        for event in self.ledger.events(name):
            course.feed(event)
        return course

    def evaluation(self, run: Run) -> Evaluation | None:
        """The base model beside the tuned one, if that is known: from the run itself, or from another one."""
        for name in (run.name, _evaluation_name(run)):
            found = evaluation(self.ledger.events(name))
            if found:
                return with_votes(found, self.votes(run))
        return None

    def votes(self, run: Run) -> Tally:
        """How people voted on the model of a run against its base model."""
        return counted(self._votes(run))

    def complete_report(self, run: Run) -> None:
        """Write the votes on a run into its report, if that is on this machine.

        Raises:
            DataError: it cannot be written.
        """
        found = self.evaluation(run)
        if found and found.report and (report := Path(found.report)).is_file():
            into_report(report, self._votes(run))

    def eval_spec(self, run: Run) -> EvalSpec:
        """What evaluating a trained run would be: its held-out rows, asked as it was asked in training.

        Raises:
            DataError: no rows were held out.
        """
        from phichat.workflow.recipe import SHARED

        if isinstance(run.spec, FlowSpec):
            raise NotFoundError(
                f"{run.name!r} is a batch through a flow: it has trained nothing.", "phichat runs"
            )
        if run.spec.dataset.eval_file is None:
            told = f"The run {run.name!r} has no held-out rows to evaluate on."
            raise DataError(told, "Prepare the data again with --test-size, then train.")
        chosen = run.spec.hyperparameters if isinstance(run.spec, TrainSpec) else run.spec.settings
        settings = {name: chosen[name] for name in SHARED if name in chosen}
        name = _evaluation_name(run)
        return EvalSpec(name=name, model=self.job(run), dataset=run.spec.dataset, settings=settings)

    def evaluable(self, run: Run) -> None:
        """Look whether a run can have made a model, before anything is asked or begun.

        Raises:
            NotFoundError: it has ended without one.
        """
        if run.state in ("failed", "cancelled") and isinstance(run.spec, TrainSpec):
            raise no_model(run.name, run.state)

    def job(self, run: Run) -> Job:
        """The backend's own reference to a run.

        Raises:
            NotFoundError: the backend never took it.
            ConfigError: it is on another backend.
        """
        job = self._here(run).job
        if isinstance(run.spec, FlowSpec):
            raise NotFoundError(f"{run.name!r} was a batch through a flow: there is no job.", "phichat runs")
        if job is None:
            raise NotFoundError(f"The run {run.name!r} never reached the backend.", "phichat train")
        return job

    def _refused(self, run: Run, error: PhichatError, *, new: bool) -> None:
        """Keep no run that nobody has taken, or ever will; an earlier try may have arrived all the same."""
        if new:
            self.ledger.forget(run.name)
        elif run.job is None and isinstance(error, NotFoundError):  # what it needs is not there
            ended = {"state": "failed", "detail": error.message, "ended": time.time()}
            self.ledger.write(run.model_copy(update=ended))

    async def _give_up(self, run: Run) -> None:
        """End a run of which nobody knows whether it has reached the backend."""
        with contextlib.suppress(NotFoundError):
            await self._guard.call(self._backend().cancel(Job(id=run.name)))
        ended = {"state": "cancelled", "detail": "The backend never confirmed it.", "ended": time.time()}
        self.ledger.write(run.model_copy(update=ended))

    def _votes(self, run: Run) -> list[Vote]:
        if not isinstance(run.spec, TrainSpec):
            return []
        return on_run(self.ledger.directory / run.name, run.name, run.spec.base_model)

    def _here(self, run: Run) -> Run:
        if run.backend != self._config.backend:
            told = f"The run {run.name!r} is on backend {run.backend!r}."
            raise ConfigError(told, f"Add --backend {run.backend}")
        return run

    def _known(self, spec: TrainSpec | EvalSpec) -> Run:
        """The run of that name with the work now asked for, or a new one.

        Raises:
            ConfigError: the run of that name is on another backend, or does something else.
        """
        try:
            run = self.ledger.run(spec.name)
        except NotFoundError:
            return Run(name=spec.name, backend=self._config.backend, spec=spec)
        if run.backend != self._config.backend:
            raise ConfigError(f"The run {run.name!r} is on backend {run.backend!r}.", "Choose another name.")
        other = _differences(run.spec, spec) if run.job or isinstance(run.spec, FlowSpec) else []
        if other:
            told = f"There is a run {run.name!r} already, with another {', '.join(other)}."
            raise ConfigError(told, "Choose another --name, or make one more with --again.")
        return run.model_copy(update={"spec": spec})

    async def _catch_up(self, run: Run) -> None:
        """Keep what a run has told until now."""
        patience = FIRST_WORD_S
        # One backend that is out of reach must not hide what is known.
        with contextlib.suppress(TimeoutError, StopAsyncIteration, PhichatError):
            async with contextlib.aclosing(self.watch(run.name)) as events:
                while True:
                    async with asyncio.timeout(patience):
                        await anext(events)
                    patience = QUIET_S


async def offer_token(model: Job | str) -> None:
    """Let the hub's library find the access token, if the model comes from there."""
    if isinstance(model, str) and models.resolve(model).repo:
        await asyncio.to_thread(offer_hf_token)


def took(run: Run) -> float | None:
    """Seconds that its attempts took, each from its request to its end, or to now.

    None for one that ended nobody knows when, and for one that has not begun.
    """
    if run.ended:
        return run.worked + run.ended - run.asked
    if run.finished or (run.job is None and not isinstance(run.spec, FlowSpec)):
        return None
    return run.worked + time.time() - run.asked


def _evaluation_name(run: Run) -> str:
    return f"{run.name}-eval"


def _differences(before: Spec, now: TrainSpec | EvalSpec) -> list[str]:
    """What two runs of one name do not have in common; nothing if one may go on as the other."""
    if not isinstance(before, TrainSpec) or not isinstance(now, TrainSpec):
        return [] if type(before) is type(now) else ["purpose"]
    names = sorted({*before.hyperparameters, *now.hyperparameters} - FREE)
    other = [name for name in names if before.hyperparameters.get(name) != now.hyperparameters.get(name)]
    if before.dataset.fingerprint != now.dataset.fingerprint:
        other.append("dataset")
    return other if before.base_model == now.base_model else [*other, "base_model"]
