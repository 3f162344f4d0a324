"""A run that is followed on a screen, and what can be done with it while it goes on and afterwards."""

from __future__ import annotations

from typing import Literal

from phichat.backends.base import TrainSpec
from phichat.screens.question import Question
from phichat.screens.session import Session
from phichat.screens.stage import StageScreen
from phichat.screens.train.run import Page, RunView
from phichat.screens.train.runs import Runs
from phichat.screens.train.work import Cooling, Doing, DrawDue, Fetched, Followed, Settled, Work
from phichat.workflow.estimates import hourly

Place = Literal["opening", "trouble", "nodata", "setup", "run", "runs"]


class RunScreen(StageScreen):
    """A screen one of whose places is a run."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.place: Place = "opening"
        self.view = RunView()
        self.runs = Runs()
        self.work = Work(session, self)
        self._stoppable = ""
        """What is being brought there or here, and can be stopped."""

    def turn_to_run(self) -> None:
        """Show the run, and nothing else."""
        raise NotImplementedError

    @property
    def _followed(self) -> str:
        return self.view.run.name if self.view.run else ""

    def on_doing(self, event: Doing) -> None:
        self._say_activity(event.what)

    # While it runs

    def on_followed(self, event: Followed) -> None:
        """A run is turned to; its course is told from now on."""
        self.view.open(event.run, event.course, event.meter)
        self.view.overlay(self.runs.overlaid(event.run.name))
        self.turn_to_run()

    def on_draw_due(self, event: DrawDue) -> None:
        if event.course is self.view.course:
            if self.view.run and not self.view.run.finished:  # the ledger's word about the end is the last
                self.view.run = event.run
            self.view.show()
            self.refresh_bindings()

    def on_settled(self, event: Settled) -> None:
        """The run has ended: whether it helped is known, and said to those who look at something else."""
        self._say_activity("")
        if event.run.name == self._followed:
            self.view.run = event.run
            self.view.show_result(event.found, event.changed)
        self.work.list_runs()
        self.refresh_bindings()

    def action_page(self, page: Page) -> None:
        """Turn to a page of the run; one that is longer than the screen is scrolled with the usual keys."""
        self.set_focus(None)
        self.view.turn(page)
        self.view.query_one(f"#page-{page}").focus()

    def on_cooling(self, event: Cooling) -> None:
        """The machine of a run that has ended is still there, or gone."""
        if event.name == self._followed:
            self.view.show_machine(event.told, gone=event.gone)

    def action_cancel(self) -> None:
        """End the run, after a question."""
        run = self.view.run
        if run is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._say_activity("ending the run")
                self.work.cancel(run.name)

        hint = "What it has learned until its last checkpoint is kept: it can go on from there."
        self.app.push_screen(Question(f"End {run.name}?", hint), answered)

    def action_resume(self) -> None:
        """Go on from the run's last checkpoint."""
        if self.view.run and isinstance(self.view.run.spec, TrainSpec):
            self.work.estimate(self.view.run.spec)

    def action_again(self) -> None:
        """Train the same once more, as another run."""
        if self.view.run and isinstance(self.view.run.spec, TrainSpec) and self.session.project:
            spec = self.view.run.spec
            name = self.session.project.training.ledger.free_name(spec.name)
            self.work.estimate(spec.model_copy(update={"name": name}))

    # Afterwards

    async def action_deploy(self) -> None:
        """Deploy the run's model, and go to the chat when it can answer."""
        if self.view.run and self.view.run.job:
            from phichat.screens.deploy.screen import DeployScreen

            await self.app.switch_mode("deploy")
            if isinstance(self.app.screen, DeployScreen):
                self.app.screen.deploy(self.view.run.job, then_chat=True)

    def action_compare(self) -> None:
        """Ask the base model and this one side by side."""
        if self.view.run:
            from phichat.screens.compare.screen import CompareScreen

            self.app.push_screen(CompareScreen(self.session, self.view.run.name))

    def action_fetch(self) -> None:
        """Bring the run's model to this machine."""
        if self.view.run:
            self._say_activity("bringing the model here")
            self._stoppable = "fetch"
            self.refresh_bindings()
            self.work.fetch(self.view.run)

    def on_fetched(self, event: Fetched) -> None:
        self._stoppable = ""
        self._say_activity("")
        self.refresh_bindings()
        hint = f"To chat with it here: phichat deploy {event.folder} --backend local"
        self.notify(f"The model is in {event.folder}\n{hint}", timeout=15, markup=False)

    def action_report(self) -> None:
        """Open the report in a browser, or say where it is."""
        if self.view.found:
            self.work.open_report(self.view.found.report)

    def action_evaluate(self) -> None:
        """Compare the run's model with the base model."""
        run = self.view.run
        if run is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._say_activity("comparing with the base model")
                self.work.evaluate(run)

        if run.priced:
            asked = f"Comparing takes a job of its own, at {hourly(run.usd_rate)} while it runs. Go on?"
            self.app.push_screen(Question(asked), answered)
        else:
            answered(True)

    def action_stop(self) -> None:
        """Let go of what is being brought there or here; the next time goes on where it ended."""
        self.work.stop(self._stoppable)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        run = self.view.run
        at_run = self.place == "run" and run is not None
        match action:
            case "page":
                return at_run
            case "cancel":
                return at_run and run is not None and not run.finished
            case "deploy" | "again" | "compare":
                return at_run and run is not None and run.state == "succeeded"
            case "stop":
                return bool(self._stoppable)
            case "fetch":
                return (
                    not self._stoppable
                    and at_run
                    and run is not None
                    and run.state == "succeeded"
                    and self.work.fetchable()
                )
            case "report":
                return at_run and self.view.found is not None and bool(self.view.found.report)
            case "evaluate":
                return at_run and run is not None and self.work.evaluable(run, self.view.found)
            case "resume":
                return at_run and run is not None and run.state in ("failed", "cancelled")
        return super().check_action(action, parameters)

    def _say_activity(self, activity: str) -> None:
        self.bar.activity = activity
        self.bar.show()
