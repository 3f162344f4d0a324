"""The guided set-up: where a project is to be, on which backend, and from which model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from phichat.screens.choice import Choice
from phichat.screens.panels import ErrorPanel
from phichat.screens.pickers import BackendList, ModelList
from phichat.screens.session import problem_of

if TYPE_CHECKING:
    from phichat.workflow import Project
    from phichat.workflow.offers import ModelOffer, Offers


class SetupScreen(ModalScreen[Path | None]):
    """Three questions, each with an answer already; gives the folder of the new project, or nothing."""

    CSS_PATH = "setup.tcss"
    HELP = """
## Set up a project

A project is a folder with a phichat.toml; its data, runs and deployments stay beside it. Tab goes from one
question to the next, Enter chooses in a list. Escape leaves everything as it is: the chat works without a
project too.
"""
    BINDING_GROUP_TITLE = "Set up a project"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "make", "Make it", tooltip="Make the project and chat.", id="setup.make"),
        Binding("escape", "dismiss(None)", "Not now", tooltip="Go on without a project.", id="setup.close"),
    ]

    class Found(Message):
        """What there is to choose from is known."""

        def __init__(self, offers: Offers, models: list[ModelOffer]) -> None:
            super().__init__()
            self.offers = offers
            self.models = models

    class Made(Message):
        """The project is there."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder

    class Failed(Message):
        """It could not be made."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._backend = project.config.backend
        self._model = project.base_model
        self._offers: Offers | None = None
        self._models: list[ModelOffer] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="setup"):
            with VerticalScroll(can_focus=False):
                yield Static("Where: this folder, or another one, which is made", classes="question")
                folder = Input(str(self._project.loaded.cwd), compact=True, select_on_focus=False, id="where")
                folder.cursor_blink = False
                yield folder
                yield Static("On which backend", classes="question")
                yield BackendList(id="backends")
                yield Static("From which model (another one can be named on Configure)", classes="question")
                yield ModelList(id="models")
            yield Horizontal(Choice("setup.make"), Choice("setup.close"), classes="choices")

    def on_mount(self) -> None:
        self.query_one("#setup").border_title = "Set up a project"
        self._look()

    @work(group="offers", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        from phichat.workflow.offers import model_offers, offers

        try:
            models = await asyncio.to_thread(model_offers, self._project.folders.cache)
            self.post_message(self.Found(await offers(self._project.registry), models))
        except Exception as error:
            self.post_message(self.Failed(error))

    @work(group="make", exclusive=True, exit_on_error=False)
    async def _make(self, folder: Path) -> None:
        try:
            await asyncio.to_thread(_made, folder, self._backend, self._model)
            self.post_message(self.Made(folder))
        except Exception as error:
            self.post_message(self.Failed(error))

    def on_setup_screen_found(self, event: Found) -> None:
        self._offers, self._models = event.offers, event.models
        self._show()

    def on_setup_screen_made(self, event: Made) -> None:
        self.dismiss(event.folder)

    async def on_setup_screen_failed(self, event: Failed) -> None:
        await self.query(ErrorPanel).remove()
        await self.query_one("#setup").mount(ErrorPanel(problem_of(event.error)), before=0)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        name = event.option.id or ""
        if isinstance(event.option_list, BackendList):
            broken = [each for each in self._offers.backends if each.error] if self._offers else []
            if wrong := next((each for each in broken if each.name == name), None):
                self.notify(wrong.error, severity="error", markup=False)
                return
            self._backend = name
        else:
            self._model = name
        self._show()

    def on_input_submitted(self) -> None:
        self.action_make()

    def action_make(self) -> None:
        """Make the project."""
        typed = self.query_one("#where", Input).value.strip()
        self._make(self._project.loaded.cwd / Path(typed or ".").expanduser())

    def _show(self) -> None:
        if self._offers:
            self.query_one(BackendList).show(self._offers.backends, self._backend)
            self.query_one(ModelList).show(self._models, self._model)


def _made(folder: Path, backend: str, model: str) -> None:
    """Make a project, unless there is one in the folder already: then that one is opened."""
    from phichat.config.saving import save
    from phichat.paths import PROJECT_FILE

    file = folder / PROJECT_FILE
    if not file.exists():
        save(file, {("backend",): backend, ("base_model",): model})
