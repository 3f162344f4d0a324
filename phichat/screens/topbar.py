"""The first line of every screen: where one stands in the work, and what the model is doing."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from phichat.screens.readiness import Readiness
from phichat.screens.session import Session
from phichat.screens.stages import STAGES, Stage

DONE = "✓"
SPINNER = "◐◓◑◒"
TICK_S = 0.125


class TopBar(Horizontal):
    """Name, stages with the number that leads there, and the state of the model."""

    def __init__(self, session: Session, stage: str) -> None:
        super().__init__()
        self._session = session
        self._stage = stage
        self.activity = ""
        """What the screen does just now, shown instead of the model's readiness; empty: nothing."""
        self._frame = 0
        self._ticker: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static("phichat", id="brand")
        for number, stage in enumerate(STAGES, start=1):
            yield StageTab(number, stage, here=stage.name == self._stage)
        yield Static(id="state")

    def on_mount(self) -> None:
        self._ticker = self.set_interval(TICK_S, self._tick, pause=True)
        self.show()

    def show(self) -> None:
        """Show the session as it is now."""
        self._draw_state()
        done = self._session.standing.done if self._session.standing else {}
        for tab in self.query(StageTab):
            tab.show(done.get(tab.stage.name, ""))
        busy = bool(self.activity) or self._session.readiness.phase in ("opening", "preparing")
        if self._ticker and busy and self.app.animation_level != "none":
            self._ticker.resume()
        elif self._ticker:
            self._ticker.pause()

    def _tick(self) -> None:
        self._frame += 1
        self._draw_state()

    def _draw_state(self) -> None:
        spinner = SPINNER[self._frame % len(SPINNER)]
        if self.activity:
            state = Content.assemble((spinner, "$text-primary"), f" {self.activity}")
        else:
            state = _state(self._session.readiness, spinner)
        # A tick must not arrange the whole screen anew; the text keeps to the right in a place of its own.
        self.query_one("#state", Static).update(state, layout=False)


class StageTab(Static):
    """The name of a stage, its number, and a sign if it is done; a click goes there."""

    def __init__(self, number: int, stage: Stage, *, here: bool) -> None:
        title = Content.assemble((str(number), "$text-muted"), f" {stage.title}")
        super().__init__(title, classes="stage -here" if here else "stage")
        self.stage = stage
        self.tooltip = Content(stage.aim)
        self._title = title
        self._done = ""

    def show(self, done: str) -> None:
        """Show what of this stage is done; empty: nothing yet."""
        if done != self._done:
            self._done = done
            sign = (f" {DONE}", "$text-success") if done else ""
            self.update(Content.assemble(self._title, sign))
            self.tooltip = Content(done or self.stage.aim)

    async def on_click(self) -> None:
        await self.run_action(f"app.go({self.stage.name!r})")


def _state(readiness: Readiness, spinner: str) -> Content:
    """The state as a sign, a colour and a word: none of them alone."""
    match readiness.phase:
        case "opening":
            return Content.assemble((spinner, "$text-primary"), " opening")
        case "preparing":
            return Content.assemble((spinner, "$text-primary"), f" {readiness.brief}")
        case "ready":
            return Content.assemble(("●", "$text-success"), " ready")
        case "offered" | "declined":
            return Content.assemble(("○", "$text-warning"), " no model yet")
        case "failed":
            return Content.assemble(("✗", "$text-error"), " failed")
