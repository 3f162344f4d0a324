"""The data: choose conversations, prepare them, and look at what became of every row."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker

from phichat.data import BadRowsError, Prepared, current, open_prepared
from phichat.events import Event
from phichat.screens.data.form import DataForm
from phichat.screens.data.progress import DataProgress
from phichat.screens.data.start import DataStart
from phichat.screens.data.view import DataView
from phichat.screens.panels import ErrorPanel
from phichat.screens.session import Session, problem_of
from phichat.screens.stage import StageScreen
from phichat.workflow.preparing import Chosen, chosen, configured, folder, prepare_chosen, whole

if TYPE_CHECKING:
    from phichat.errors import PhichatError
    from phichat.workflow import Project

MENDS = {
    "skip_bad": ("s", "Leave them out", "Prepare without the rows that have errors.", True),
    "duplicates": ("d", "Drop duplicates", "Prepare without rows that equal an earlier one.", "remove"),
    "near_duplicates": ("n", "Drop near ones", "Prepare without rows that nearly repeat another.", "remove"),
    "leakage": ("l", "Drop leaked", "Prepare without held-out rows that are trained on.", "remove"),
    "personal": ("m", "Mask personal", "Prepare with [email] and the like for personal data.", "mask"),
}
"""What a key does about each thing that was found: key, name, explanation and the option's new value."""


class DataScreen(StageScreen):
    """From any conversations to rows to train on."""

    stage = "data"
    CSS_PATH = "screen.tcss"
    HELP = """
## Data

Conversations from a file, a folder or the Hugging Face hub are checked row by row and divided into rows to
train on and rows to evaluate on. What was found can be mended with a key.
"""
    BINDING_GROUP_TITLE = "Data"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "demo", "Demo", tooltip="Prepare our 60 conversations.", id="data.demo", show=False),
        Binding("ctrl+s", "prepare", "Prepare", tooltip="Check and divide the source.", id="data.prepare"),
        Binding("ctrl+o", "file", "Choose a file", tooltip="Look for a file.", id="data.file", show=False),
        Binding("e", "form", "Source", tooltip="Choose source and options.", id="data.form"),
        Binding("escape", "cancel", "Cancel", tooltip="Stop; leave nothing behind.", id="data.cancel"),
        Binding("escape", "leave", "Back", tooltip="Leave the form.", id="data.leave"),
        Binding("ctrl+r", "again", "Try again", tooltip="Prepare again.", id="data.again", show=False),
        *(
            Binding(key, f"mend({name!r})", title, tooltip=told, id=f"data.mend.{name}", show=False)
            for name, (key, title, told, _) in MENDS.items()
        ),
        Binding("t", "train", "Train", tooltip="Go on to training.", id="data.train"),
    ]

    class Loaded(Message):
        """What is prepared already, if anything, and what was chosen for it."""

        def __init__(self, prepared: Prepared | None, wanted: Chosen) -> None:
            super().__init__()
            self.prepared = prepared
            self.wanted = wanted

    class Went(Message):
        """Preparing goes on."""

        def __init__(self, event: Event) -> None:
            super().__init__()
            self.event = event

    class Failed(Message):
        """Preparing ended with an error."""

        def __init__(self, problem: PhichatError, refused: Prepared | None) -> None:
            super().__init__()
            self.problem = problem
            self.refused = refused

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.preparing = prepare_chosen
        self.wanted = Chosen()
        self.prepared: Prepared | None = None
        self._project: Project | None = None
        self._worker: Worker[None] | None = None

    def body(self) -> ComposeResult:
        yield Vertical(id="data")

    async def session_changed(self) -> None:
        project = self.session.project
        if project is not None and project is not self._project:
            self._project = project
            self._load(project)
        elif project is None and self.session.readiness.problem and not self._shown(ErrorPanel):
            await self._show(ErrorPanel(self.session.readiness.problem, "model.retry"))

    @work(group="load", exclusive=True, exit_on_error=False)
    async def _load(self, project: Project) -> None:
        """Find what is prepared already."""
        try:
            prepared = await asyncio.to_thread(current, folder(project))
            self.post_message(self.Loaded(prepared, await asyncio.to_thread(chosen, project)))
        except Exception as error:
            self.post_message(self.Failed(problem_of(error), None))

    async def on_data_screen_loaded(self, event: Loaded) -> None:
        self.wanted, self.prepared = event.wanted, event.prepared
        await self._rest()

    # Preparing

    @work(group="prepare", exclusive=True, exit_on_error=False)
    async def _prepare(self, project: Project, wanted: Chosen) -> None:
        """Prepare, and say how that goes."""
        try:
            prepared = await self.preparing(project, wanted, self._tell_of)
        except BadRowsError as error:
            refused = await asyncio.to_thread(open_prepared, error.problems_file.parent)
            self._ended("The data has bad rows.", ok=False)
            self.post_message(self.Failed(error, refused))
        except asyncio.CancelledError:
            self.session.ended("data")
            raise
        except Exception as error:
            self._ended("The data could not be prepared.", ok=False)
            self.post_message(self.Failed(problem_of(error), None))
        else:
            self._ended("The data is prepared.", ok=True)
            self.post_message(self.Loaded(prepared, wanted))
            self.session.look_soon()

    def _ended(self, news: str, *, ok: bool) -> None:
        """Let every screen know; who looks at this one sees it anyway."""
        self.session.ended("data", "" if self.is_current else news, ok=ok)

    def _tell_of(self, event: Event) -> None:
        self.post_message(self.Went(event))

    def on_data_screen_went(self, event: Went) -> None:
        for progress in self.query(DataProgress):
            progress.feed(event.event)
            self._busy(progress.brief)

    async def on_data_screen_failed(self, event: Failed) -> None:
        self._busy("")
        if event.refused is None:
            await self._show(ErrorPanel(event.problem, "data.again"), hint=True)
        else:
            await self._show(self._view(event.refused, event.problem))

    async def _start(self, wanted: Chosen) -> None:
        assert self._project is not None
        self.wanted = wanted
        await self._show(DataProgress(wanted.source))
        self._busy("preparing data")
        self.session.working("data", "preparing data")
        self._worker = self._prepare(self._project, wanted)

    # What is to be seen

    async def _rest(self) -> None:
        """Show what is prepared, or how to begin."""
        self._busy("")
        await self._show(self._view(self.prepared) if self.prepared else DataStart())

    def _view(self, prepared: Prepared, problem: PhichatError | None = None) -> DataView:
        assert self._project is not None
        model = partial(whole, self._project, self.wanted.options)
        return DataView(prepared, model, problem, [f"data.mend.{name}" for name in MENDS])

    async def _show(self, widget: Widget, *, hint: bool = False) -> None:
        place = self.query_one("#data")
        async with self.batch():
            await place.remove_children()
            await place.mount(widget)
            if hint:
                await place.mount(DataStart())
        self.refresh_bindings()

    def _shown(self, kind: type[Widget]) -> bool:
        return bool(self.query_one("#data").query_children(kind))

    def _busy(self, what: str) -> None:
        self.bar.activity = what
        self.bar.show()

    async def carry_out(self, command: tuple[str, ...]) -> None:
        if command == ("data", "demo"):
            await self.action_demo()

    # What the keys do

    async def action_demo(self) -> None:
        """Prepare the demo set."""
        await self._start(Chosen(source="demo"))

    async def action_form(self) -> None:
        """Choose source and options."""
        assert self._project is not None
        await self._show(DataForm(self.wanted, configured(self._project)))

    async def action_leave(self) -> None:
        """Leave the form."""
        await self._rest()

    async def action_prepare(self) -> None:
        """Prepare what the form says."""
        wanted, problem = self.query_one(DataForm).chosen()
        if wanted and wanted.source:
            await self._start(wanted)
        else:
            self.notify(problem or "Name a source first.", severity="warning", markup=False, timeout=4)

    async def action_again(self) -> None:
        """Prepare the same once more."""
        await self._start(self.wanted)

    async def action_cancel(self) -> None:
        """Stop preparing."""
        if self._worker:
            self._worker.cancel()
        await self._rest()

    async def action_mend(self, name: str) -> None:
        """Prepare again without what was found."""
        wanted = self.wanted
        if not wanted.source and self.prepared:
            wanted = wanted.model_copy(update={"source": self.prepared.manifest.source})
        await self._start(wanted.with_options(**{name: MENDS[name][3]}))

    def action_file(self) -> None:
        """Look for a file with the picker."""
        self._pick()

    @work(group="pick", exclusive=True)
    async def _pick(self) -> None:
        from textual_fspicker import FileOpen

        path: Path | None = await self.app.push_screen_wait(FileOpen(str(Path.cwd()), "Choose a file"))
        if path is None:
            return
        if not self._shown(DataForm):
            await self.action_form()
        self.query_one(DataForm).fill("source", str(path))

    async def action_train(self) -> None:
        """Go on to training."""
        await self.run_action("app.go('train')")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if not self.is_mounted:
            return True
        name, _, rest = action.partition("(")
        form, busy = self._shown(DataForm), self._shown(DataProgress)
        match name:
            case "demo":
                return self._shown(DataStart)
            case "prepare" | "leave":
                return form
            case "file" | "form":
                return self._project is not None and not busy and (name == "file" or not form)
            case "cancel":
                return busy
            case "again":
                return self._shown(ErrorPanel) and bool(self.wanted.source)
            case "train":
                return self.prepared is not None and self._shown(DataView)
            case "mend":
                return self._to_mend(str(parameters[0]) if parameters else rest.strip("')\""))
        return True

    def _to_mend(self, name: str) -> bool:
        """Whether that was found, and nothing done about it."""
        views = self.query(DataView)
        return bool(views) and name in views.first().found
