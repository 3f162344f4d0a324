"""What the screen Train lets happen in the background; each piece of work says by a message how it went."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

from phichat.backends.base import Check, Estimate, TrainSpec
from phichat.errors import DataError, PhichatError
from phichat.events import Event
from phichat.runs import Run
from phichat.screens.background import Background
from phichat.screens.session import Session
from phichat.screens.train.runs import Known, known
from phichat.screens.wording import amount
from phichat.workflow.course import Course
from phichat.workflow.estimates import hourly
from phichat.workflow.evaluation import Evaluation, Pair, changed
from phichat.workflow.money import Meter
from phichat.workflow.outlook import Outlook, outlook

if TYPE_CHECKING:
    from textual.screen import Screen

    from phichat.config.train import TrainConfig

DRAW_S = 0.25
"""A run is drawn at most so often: nobody reads faster, and the keys come first."""
LOOK_S, LOOKS = 15.0, 60
"""Seconds between two looks at a machine that is to go, and how many of them: a quarter of an hour."""
COOLING_S = 3600.0
"""Seconds after the end of a run in which its machine may still be there."""
BREATH = 50
"""Events of a long story that is read again after which the keys have their turn."""


class Looked(Message):
    """What there is: the next training, or why there can be none, and every run."""

    def __init__(self, outlook: Outlook | PhichatError, known: Sequence[Known]) -> None:
        super().__init__()
        self.outlook = outlook
        self.known = known


class Listed(Message):
    """Every run, the newest first."""

    def __init__(self, known: Sequence[Known]) -> None:
        super().__init__()
        self.known = known


class Doing(Message):
    """What is being done just now, in a few words; empty: nothing any more."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class Planned(Message):
    """What a training with these settings would be."""

    def __init__(self, outlook: Outlook) -> None:
        super().__init__()
        self.outlook = outlook


class Estimated(Message):
    """What going on with a run, or doing it once more, would take."""

    def __init__(self, spec: TrainSpec, estimate: Estimate) -> None:
        super().__init__()
        self.spec = spec
        self.estimate = estimate


class Prepared(Message):
    """There is data."""


class Started(Message):
    """A run has begun, or goes on."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Followed(Message):
    """A run is followed: what it tells comes into its course, and what it costs into its meter."""

    def __init__(self, run: Run, course: Course, meter: Meter) -> None:
        super().__init__()
        self.run = run
        self.course = course
        self.meter = meter


class DrawDue(Followed):
    """The course of a run has something new."""


class Settled(Message):
    """A run has ended, and whether it helped is known."""

    def __init__(self, run: Run, found: Evaluation | None, changed: Sequence[Pair]) -> None:
        super().__init__()
        self.run = run
        self.found = found
        self.changed = changed


class Checked(Message):
    """Whether everything is in place is known."""

    def __init__(self, checks: Sequence[Check]) -> None:
        super().__init__()
        self.checks = checks


class Cooling(Message):
    """How far the machines are from costing nothing, after a run."""

    def __init__(self, name: str, told: str, *, gone: bool) -> None:
        super().__init__()
        self.name = name
        self.told = told
        self.gone = gone


class Fetched(Message):
    """A model is on this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


class Work(Background):
    """What the screen can let happen."""

    def __init__(self, session: Session, screen: Screen[None]) -> None:
        super().__init__(session, screen)
        self._known: list[Known] = []
        self._due = False
        self._latest: DrawDue | None = None

    def look(self, train: TrainConfig | None, max_usd: float | None = None) -> None:
        """See which data and which runs there are, and what a training with these settings would be."""
        self._do("look", self._look, train, max_usd)

    def plan(self, train: TrainConfig, max_usd: float | None = None) -> None:
        """See what a training with these settings would be."""
        self._do("plan", self._plan, train, max_usd)

    def check(self) -> None:
        """See whether everything is in place."""
        self._do("check", self._check)

    def fetch(self, run: Run) -> None:
        """Bring a run's model to this machine."""
        self._do("fetch", self._fetch, run)

    def stop(self, about: str) -> None:
        """Let go of a start or of a fetch; both go on where they ended the next time."""
        self._drop(about)

    def fetchable(self) -> bool:
        """Whether models can be brought to this machine."""
        return self._session.supports("fetch")

    def forget_plan(self) -> None:
        """Let go of a plan that is being made: its settings are gone."""
        self._drop("plan")

    def prepare_demo(self) -> None:
        """Make the demo the project's data."""
        self._do("demo", self._prepare_demo)

    def estimate(self, spec: TrainSpec) -> None:
        """See what a training would take."""
        self._do("start", self._estimate, spec)

    def start(self, spec: TrainSpec) -> None:
        """Start a run, or go on with it."""
        self._do("start", self._start, spec)

    def follow(self, name: str) -> None:
        """Tell how a run goes, from its beginning to its end."""
        self._do("follow", self._follow, name)

    def end(self) -> None:
        """Let go of everything: the project is another one now. What runs, runs on."""
        self._drop("look", "plan", "follow", "runs", "evaluate", "check", "cool")
        self._known = []

    def cancel(self, name: str) -> None:
        """End a run."""
        self._do("cancel", self._project.cancel, name)

    def evaluate(self, run: Run) -> None:
        """Compare a run's model with the base model, in a job of its own."""
        self._do("evaluate", self._evaluate, run)

    def list_runs(self, *, refresh: bool = False) -> None:
        """See which runs there are; with `refresh` after a look at those that are not finished."""
        self._do("runs", self._list_runs, refresh)

    def evaluable(self, run: Run, found: Evaluation | None) -> bool:
        """Whether comparing a run's model would tell something new."""
        held_out = isinstance(run.spec, TrainSpec) and run.spec.dataset.eval_file is not None
        return run.state == "succeeded" and found is None and held_out

    def open_report(self, place: str) -> None:
        """Open a page in the browser; where there is none, say where the page is."""
        from phichat.screens.browsing import browse

        browse(self._screen.app, place)

    async def _look(self, train: TrainConfig | None, max_usd: float | None) -> None:
        project = self._project
        told = await self._read(project.training.ledger.runs)
        try:
            found: Outlook | PhichatError = await outlook(project, train, max_usd)
        except PhichatError as error:
            found = error
        self._tell(Looked(found, told))

    async def _list_runs(self, refresh: bool) -> None:
        self._tell(Listed(await self._read(self._project.training.ledger.runs)))
        if not refresh:
            return
        runs = await self._project.training.refresh()
        self._tell(Listed(await self._read(lambda: runs)))

    async def _read(self, runs: Any) -> list[Known]:
        training = self._project.training
        self._known = await asyncio.to_thread(lambda: known(training, runs(), self._known))
        return self._known

    async def _plan(self, train: TrainConfig, max_usd: float | None) -> None:
        self._tell(Planned(await outlook(self._project, train, max_usd)))

    async def _check(self) -> None:
        self._tell(Checked(await self._project.check()))

    async def _fetch(self, run: Run) -> None:
        place = (self._project.root or Path.cwd()) / run.name
        self._tell(Fetched(await self._project.fetch(run.name, place, self._report)))

    async def _cool(self, run: Run) -> None:
        """Look at the machines until none of them costs anything any more."""
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_S)
            machines = [each for each in await self._project.resources() if each.kind == "cluster"]
            warm = [each for each in machines if each.usd_per_hour != 0]
            if not warm:
                self._tell(Cooling(run.name, "The machine is gone: it costs nothing any more.", gone=True))
                break
            told = ", ".join(f"{each.state}, {hourly(each.usd_per_hour)}" for each in warm)
            self._tell(Cooling(run.name, f"The machine goes by itself; now: {told}.", gone=False))
        self._session.look_soon()

    async def _prepare_demo(self) -> None:
        from phichat.data import DataOptions
        from phichat.workflow.preparing import Chosen, prepare_chosen

        data = self._project.config.data
        options = DataOptions(test_size=data.test_size, seed=data.seed, max_length=data.max_length)
        await prepare_chosen(self._project, Chosen(source="demo", options=options), self._report)
        self._tell(Prepared())

    async def _estimate(self, spec: TrainSpec) -> None:
        self._tell(Estimated(spec, await self._project.estimate(spec)))

    async def _start(self, spec: TrainSpec) -> None:
        run = await self._project.training.start(spec, self._report)
        self._tell(Started(run.name))

    def _report(self, event: Event) -> None:
        if event.kind == "progress":
            verb, counted = event.what.partition(" ")[0].lower(), amount(event.done, event.total, event.unit)
            self._tell(Doing(f"{verb} {counted}"))
        elif event.kind == "step" and event.state == "running":
            self._tell(Doing(f"preparing the {event.name}"))

    async def _follow(self, name: str) -> None:
        training = self._project.training
        run = await asyncio.to_thread(training.ledger.run, name)
        course, meter = Course(), Meter(run)
        if run.finished:
            await asyncio.to_thread(_tell_again, training.ledger.events(name), course, meter)
            self._tell(Followed(run, course, meter))
            await self._settle(run)
            return
        self._tell(Followed(run, course, meter))
        async with contextlib.aclosing(training.watch(name)) as events:
            async for event in events:
                course.feed(event)
                meter.feed(event)
                if event.kind == "status":
                    run = run.model_copy(update={"state": event.state, "detail": event.detail})
                self._draw_soon(DrawDue(run, course, meter))
                if course.events % BREATH == 0:
                    await asyncio.sleep(0)
        await self._settle(await asyncio.to_thread(training.ledger.run, name))

    def _draw_soon(self, due: DrawDue) -> None:
        self._latest = due
        if not self._due:
            self._due = True
            self._screen.set_timer(DRAW_S, self._draw)

    def _draw(self) -> None:
        self._due = False
        if self._latest:
            self._tell(self._latest)

    async def _settle(self, run: Run) -> None:
        found, pairs = await asyncio.to_thread(self._result, run)
        self._tell(Settled(run, found, pairs))
        if (
            run.priced
            and time.time() - (run.ended or 0.0) < COOLING_S
            and self._session.supports("resources")
        ):
            self._do("cool", self._cool, run)

    def _result(self, run: Run) -> tuple[Evaluation | None, list[Pair]]:
        found = self._project.training.evaluation(run)
        return found, changed(found) if found else []

    async def _evaluate(self, run: Run) -> None:
        training = self._project.training
        started = await training.start(training.eval_spec(run), self._report)
        async with contextlib.aclosing(training.watch(started.name)) as events:
            async for event in events:
                self._report(event)
        ended = await asyncio.to_thread(training.ledger.run, started.name)
        if ended.state != "succeeded":
            raise DataError(f"{ended.name}: {ended.state}. {ended.detail}", f"phichat logs {ended.name}")
        await asyncio.to_thread(training.complete_report, run)
        self._tell(Doing(""))
        await self._settle(run)


def _tell_again(events: Iterable[Event], course: Course, meter: Meter) -> None:
    """Go through what a run has told."""
    for event in events:
        course.feed(event)
        meter.feed(event)
