"""The screen Train: what a training would take, how it goes, whether it helped, and all the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList

from phichat.backends.base import Estimate, TrainSpec
from phichat.errors import DataError, PhichatError
from phichat.screens.background import Refused
from phichat.screens.question import Question
from phichat.screens.remedies import Remedy, lacks_the_place
from phichat.screens.session import Session
from phichat.screens.train.following import Place, RunScreen
from phichat.screens.train.form import TrainForm
from phichat.screens.train.keys import KEYS, SHELL
from phichat.screens.train.panels import NoData, Trouble
from phichat.screens.train.runs import Known
from phichat.screens.train.setup import Setup
from phichat.screens.train.work import (
    Checked,
    Estimated,
    Listed,
    Looked,
    Planned,
    Prepared,
    Started,
)
from phichat.workflow.estimates import price, tight

if TYPE_CHECKING:
    from phichat.workflow import Project

LARGE = 100
"""Columns from which on the list of runs has room for more about each."""


class TrainScreen(RunScreen):
    """Before, during and after a training."""

    stage = "train"
    SHELL: ClassVar[Mapping[str, str]] = SHELL
    CSS_PATH = "screen.tcss"
    HELP = """
## Train

Choose the settings, look at what they would take, and start with Ctrl+S. The run goes on when you leave:
it is found again here, also when it was started in another terminal. Escape shows all runs.
"""
    BINDING_GROUP_TITLE = "Train"
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._before: Place = "setup"
        self.setup: Setup | None = None
        self._nodata = NoData()
        self._obstacle = Trouble()
        self._drawing = False
        self._project: Project | None = None
        self._checked: Project | None = None
        """The project of which it is known, or about to be, whether everything is in place."""

    def body(self) -> ComposeResult:
        with Vertical(id="train"):
            yield self._obstacle
            yield self._nodata
            yield self.view
            yield self.runs

    def on_mount(self) -> None:
        self._go("opening")
        self.watch(self.app, "app_focus", self._look_again, init=False)

    async def session_changed(self) -> None:
        problem = self.session.readiness.problem
        if self.session.project is None and problem:
            await self._fail(problem)
        elif self.session.project is not self._project:
            # Another one, too, after the configuration was saved: nothing of the one before holds.
            self._project = self.session.project
            await self._begin_anew()

    def on_screen_resume(self) -> None:
        self._look_again()

    def _look_again(self) -> None:
        """See what was prepared and started elsewhere meanwhile."""
        if self._project and self.is_current:
            self._look()

    def _look(self) -> None:
        """See what there is, for the settings as they are in the form."""
        if self.setup and (config := self.setup.form.chosen()[0]):
            self.work.look(config, self.setup.form.max_usd)
        else:
            self.work.look(None)

    async def _begin_anew(self) -> None:
        """Forget the settings and the runs of the project before, and see what this one has."""
        if self.setup:
            await self.setup.remove()
            self.setup = None
        self.work.end()
        self.view.run = None
        self._go("opening")
        if self._project:
            self._look()

    # What was found

    async def on_looked(self, event: Looked) -> None:
        """The data and the runs are known; a run that is alive is followed, wherever it was started."""
        self._show_runs(event.known)
        # One without a job never reached the backend: starting it again finds out what became of it.
        alive = next((each.run for each in event.known if each.run.job and not each.run.finished), None)
        if alive and self.place in ("opening", "nodata", "setup") and alive.name != self._followed:
            self.work.follow(alive.name)
        if isinstance(event.outlook, PhichatError):
            if not isinstance(event.outlook, DataError):
                await self._fail(event.outlook)
            elif self.place in ("opening", "trouble", "setup"):
                self._go("nodata")
            return
        if self.setup is None:
            assert self.session.project is not None
            self.setup = Setup(self.session.project.config.train)
            await self.query_one("#train").mount(self.setup)
        config, problem = self.setup.form.chosen()
        if config:
            self.setup.show(event.outlook)
            self._check_soon(event.outlook.estimate)
        else:
            self.setup.show_problem(problem)
        if self.place in ("opening", "trouble", "nodata") and not alive:
            self._go("setup")
        self.refresh_bindings()

    def _check_soon(self, estimate: Estimate) -> None:
        """Where it costs something, see whether everything is in place before anything is paid for."""
        if not estimate.free and self._checked is not self._project:
            self._checked = self._project
            self.work.check()

    def on_listed(self, event: Listed) -> None:
        self._show_runs(event.known)

    def _show_runs(self, every: Sequence[Known]) -> None:
        self.runs.show_runs(every, wide=self.size.width >= LARGE)
        self.view.overlay(self.runs.overlaid(self._followed))
        here = next((each for each in every if each.run.name == self._followed), None)
        if here and here.found and self.view.found:
            self.view.retell(here.found)
        self.refresh_bindings()

    def on_planned(self, event: Planned) -> None:
        if self.setup:
            self.setup.show(event.outlook)
            self.refresh_bindings()

    async def on_refused(self, event: Refused) -> None:
        """Something cannot be done, and why: below the settings, or in place of all."""
        if event.about == self._stoppable:
            self._stoppable = ""
            self._say_activity("")
            self.refresh_bindings()
        if event.problem is None:
            return
        self._say_activity("")
        if self.place == "setup" and self.setup and event.about == "plan":
            self.setup.show_problem(event.problem.message)
        elif event.about == "look":
            await self._fail(event.problem)
        elif lacks_the_place(event.problem):
            await self.show_problem(event.problem)
        else:
            hint = f"\n{event.problem.hint}" if event.problem.hint else ""
            self.notify(f"{event.problem.message}{hint}", severity="error", timeout=10, markup=False)
        self.refresh_bindings()

    def on_prepared(self, event: Prepared) -> None:
        self._say_activity("")
        self.place = "opening"
        self._look()
        self.session.look_soon()

    # Before

    def on_train_form_changed(self) -> None:
        if self.setup is None:
            return
        config, problem = self.setup.form.chosen()
        if config is None:
            self.work.forget_plan()
            self.setup.show_problem(problem)
        else:
            self.work.plan(config, self.setup.form.max_usd)
        self.refresh_bindings()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if self.setup and self.place == "setup":
            self.setup.show_meaning()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.focus_next()

    def action_more(self) -> None:
        """Show all settings, or the first few."""
        if self.setup:
            self.setup.form.show_more(not self.setup.form.more)

    def on_checked(self, event: Checked) -> None:
        if self.setup:
            self.setup.show_checks(event.checks)
            self.refresh_bindings()

    async def action_check(self) -> None:
        """Go to the checks, where each says what mends it."""
        self.post_message(self.Mend(Remedy("Check", "configure", ("check",))))

    async def mended(self) -> None:
        await super().mended()
        self._checked = None
        if self.place == "trouble":
            self.action_reload()
        elif self.place == "run" and self.view.run and not self.view.run.finished:
            self.work.follow(self.view.run.name)
        else:
            self._look()

    async def carry_out(self, command: tuple[str, ...]) -> None:
        """Do what an error advises."""
        if command == ("data", "demo"):
            self.action_demo()

    def action_demo(self) -> None:
        """Prepare the demo data."""
        self._say_activity("preparing the demo")
        self.work.prepare_demo()

    def action_start(self) -> None:
        """Start the training, after a question where it costs money or will hardly fit."""
        outlook = self.setup.outlook if self.setup else None
        if outlook is None:
            return
        if outlook.refusal:
            self.notify(outlook.refusal, severity="error", timeout=10, markup=False)
            return
        self._consider(outlook.spec, outlook.estimate)

    def on_estimated(self, event: Estimated) -> None:
        self._consider(event.spec, event.estimate)

    def _consider(self, spec: TrainSpec, estimate: Estimate) -> None:
        """Start, after a question where it costs money or will hardly fit."""
        cost = price(estimate)
        if cost:
            limit = self.session.project.training.purse.limit(spec) if self.session.project else None
            hint = f"It is ended before it costs more than US${limit:.2f}." if limit is not None else ""
            self._ask(f"Training {spec.name} costs {cost}. Go on?", spec, hint)
        elif tight(estimate):
            self._ask("It will hardly fit into memory. Try it all the same?", spec)
        else:
            self._start(spec)

    def _ask(self, question: str, spec: TrainSpec, hint: str = "") -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._start(spec)

        self.app.push_screen(Question(question, hint), answered)

    def _start(self, spec: TrainSpec) -> None:
        self._say_activity("starting")
        self._stoppable = "start"
        self.refresh_bindings()
        self.work.start(spec)

    async def on_started(self, event: Started) -> None:
        self._stoppable = ""
        self._say_activity("")
        await self.clear_problem()
        self.work.follow(event.name)
        self.work.list_runs()
        self.session.look_soon()

    # All runs

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_list is self.runs and event.option.id:
            self.work.follow(event.option.id)

    def action_mark(self) -> None:
        """Draw the run under the cursor into the same picture, or not any more."""
        self.runs.mark()
        self.view.overlay(self.runs.overlaid(self._followed))

    def action_new(self) -> None:
        """Go to the settings of a new training."""
        self._go("setup" if self.setup else "nodata")
        self._look()

    def action_all(self) -> None:
        """Go to the list of runs."""
        self._before = self.place
        self._go("runs")
        self.work.list_runs(refresh=True)

    def action_back(self) -> None:
        """Go where one was before the list of runs."""
        if self._before == "run":
            self._go("run")
        else:
            self.action_new()

    def action_reload(self) -> None:
        """Look again, whether it works now."""
        self.place = "opening"
        self._look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        place = self.place
        match action:
            case "start":
                ready = self.setup is not None and self.setup.outlook is not None
                return place == "setup" and ready and not self._stoppable
            case "more":
                return place == "setup"
            case "demo":
                return place == "nodata"
            case "reload":
                return place == "trouble" and self.session.project is not None
            case "new":
                return place in ("run", "runs")
            case "check":
                return place == "setup" and self.setup is not None and self.setup.lacking
            case "mark":
                return place == "runs" and bool(self.runs.known)
            case "all":
                return place in ("setup", "run", "nodata") and bool(self.runs.known)
            case "back":
                return place == "runs"
        return super().check_action(action, parameters)

    def turn_to_run(self) -> None:
        self._go("run")

    def _go(self, place: Place) -> None:
        """Show one of the places of this screen."""
        self.place = place
        for widget, wanted in (
            (self._obstacle, "trouble"),
            (self._nodata, "nodata"),
            (self.view, "run"),
            (self.runs, "runs"),
            (self.setup, "setup"),
        ):
            if widget is not None:
                widget.display = place == wanted
        if place == "setup" and self.setup:
            self.query_one(TrainForm).focus_first()
        elif place == "runs":
            self.runs.focus()
        elif place == "run":
            self.set_focus(None)
        self.refresh_bindings()

    async def _fail(self, problem: PhichatError) -> None:
        await self._obstacle.show(problem, "train.reload" if self.session.project else "model.retry")
        self._go("trouble")
