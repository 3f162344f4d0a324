"""The guided set-up: where a project runs, which model answers, and where its folder is; then one chats."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from phichat.screens.choice import Choice
from phichat.screens.configure.pickers import BackendList, ModelList
from phichat.screens.oneline import OneLine
from phichat.screens.panels import ErrorPanel
from phichat.screens.session import problem_of
from phichat.screens.wording import size
from phichat.workflow.beginning import likely_folder, needs

if TYPE_CHECKING:
    from phichat.backends.base import Estimate
    from phichat.workflow import Project
    from phichat.workflow.offers import ModelOffer, Offers

HOW = "Three questions, each with an answer: Enter takes it and goes on."


@dataclass(frozen=True)
class Beginning:
    """The project that was made."""

    folder: Path
    agreed: bool
    """Whether the person knows what is downloaded for it, and how much that is."""


class SetupScreen(ModalScreen[Beginning | None]):
    """Three questions, each with an answer already; gives the new project, or nothing."""

    CSS_PATH = "setup.tcss"
    HELP = """
## Set up a project

A project is a folder with a phichat.toml; its data, runs and deployments stay beside it. Enter takes an
answer and goes to the next question, Tab goes on without taking one. Escape leaves everything as it is: the
chat works without a project too, and `Set up a project` in the command palette comes back here.
"""
    BINDING_GROUP_TITLE = "Set up a project"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "make", "Make it", tooltip="Take all three answers, and chat.", id="setup.make"),
        Binding("escape", "dismiss(None)", "Just chat", tooltip="Go on without a project.", id="setup.close"),
    ]

    class Found(Message):
        """What there is to choose from is known."""

        def __init__(self, offers: Offers, models: list[ModelOffer], needs: dict[str, Estimate]) -> None:
            super().__init__()
            self.offers = offers
            self.models = models
            self.needs = needs

    class Made(Message):
        """The project is there."""

        def __init__(self, folder: Path, agreed: bool) -> None:
            super().__init__()
            self.beginning = Beginning(folder, agreed)

    class Failed(Message):
        """It could not be made."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(self, project: Project, *, first: bool = False) -> None:
        super().__init__()
        self._project = project
        self._first = first
        self._backend = project.config.backend
        self._model = project.base_model
        self._offers: Offers | None = None
        self._models: list[ModelOffer] = []
        self._needs: dict[str, Estimate] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="setup"):
            yield Static("Each question has an answer already: Enter takes it and goes on.", id="how")
            with VerticalScroll(can_focus=False):
                yield Static("1  Where does it run?", classes="question")
                yield BackendList(id="backends")
                yield Static("2  Which model answers?", classes="question")
                yield ModelList(id="models")
                yield Static("3  In which folder is the project? It is made.", classes="question")
                folder = OneLine(
                    _short(likely_folder(self._project.loaded.cwd)),
                    compact=True,
                    select_on_focus=False,
                    id="where",
                )
                yield folder
            yield Horizontal(Choice("setup.make"), Choice("setup.close"), classes="choices")

    def on_mount(self) -> None:
        title = "Welcome to phichat" if self._first else "Set up a project"
        self.query_one("#setup").border_title = title
        self._look()

    @work(group="offers", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        from phichat.workflow.offers import model_offers, offers

        try:
            models = await asyncio.to_thread(model_offers, self._project.folders.cache)
            needed = await needs(self._project, [each.name for each in models])
            self.post_message(self.Found(await offers(self._project.registry), models, needed))
        except Exception as error:
            self.post_message(self.Failed(error))

    @work(group="make", exclusive=True, exit_on_error=False)
    async def _make(self, folder: Path, agreed: bool) -> None:
        try:
            await asyncio.to_thread(_made, folder, self._backend, self._model)
            self.post_message(self.Made(folder, agreed))
        except Exception as error:
            self.post_message(self.Failed(error))

    def on_setup_screen_found(self, event: Found) -> None:
        self._offers, self._models, self._needs = event.offers, event.models, event.needs
        self._show()

    def on_setup_screen_made(self, event: Made) -> None:
        self.dismiss(event.beginning)

    async def on_setup_screen_failed(self, event: Failed) -> None:
        await self.query(ErrorPanel).remove()
        await self.query_one("#setup").mount(ErrorPanel(problem_of(event.error)), before=0)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        name = event.option.id or ""
        following: Widget = self.query_one(ModelList)
        if isinstance(event.option_list, BackendList):
            broken = [each for each in self._offers.backends if each.error] if self._offers else []
            if wrong := next((each for each in broken if each.name == name), None):
                self.notify(wrong.error, severity="error", markup=False)
                return
            self._backend = name
        else:
            self._model, following = name, self.query_one("#where")
        self._show()
        following.focus()

    def on_input_submitted(self) -> None:
        self.action_make()

    def action_make(self) -> None:
        """Make the project."""
        typed = self.query_one("#where", Input).value.strip()
        folder = self._project.loaded.cwd / Path(typed or ".").expanduser()
        self._make(folder, self._fetched is not None)

    @property
    def _here(self) -> bool:
        """Whether the chosen backend is the one that could say what it needs."""
        return self._backend == self._project.config.backend

    @property
    def _fetched(self) -> int | None:
        """Bytes that the chosen model costs to download; None: nobody knows."""
        need = self._needs.get(self._model) if self._here else None
        return need.download_bytes if need else None

    def _show(self) -> None:
        if self._offers:
            self.query_one(BackendList).show(self._offers.backends, self._backend)
            self.query_one(ModelList).show(self._models, self._model, self._needs if self._here else None)
        make = f"Download {size(self._fetched)} and chat" if self._fetched else "Make it and chat"
        self.query(Choice).first().call(make)


def _short(folder: Path) -> str:
    """A folder as one would type it."""
    home = Path.home()
    return f"~/{folder.relative_to(home).as_posix()}" if folder.is_relative_to(home) else str(folder)


def _made(folder: Path, backend: str, model: str) -> None:
    """Make a project, unless there is one in the folder already: then that one is opened."""
    from phichat.config.saving import save
    from phichat.paths import PROJECT_FILE

    file = folder / PROJECT_FILE
    if not file.exists():
        save(file, {("backend",): backend, ("base_model",): model})
