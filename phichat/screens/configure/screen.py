"""Where one configures: backend, model and every other setting, and sees that everything is in place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from phichat.errors import PhichatError
from phichat.screens.configure.checklist import CheckList
from phichat.screens.configure.fields import FieldRow
from phichat.screens.configure.page import CHECKING, PAGES, Page
from phichat.screens.configure.pickers import BackendList, ModelList
from phichat.screens.configure.settings import Draft
from phichat.screens.session import Session
from phichat.screens.stage import StageScreen
from phichat.workflow.estimates import spent_so_far

if TYPE_CHECKING:
    from phichat.backends.base import Check
    from phichat.events import Event, Progress
    from phichat.workflow import Project
    from phichat.workflow.offers import ModelOffer, Offers

HOW = "Right or Enter goes into the page, Escape back. Save writes what you changed."


class ConfigureScreen(StageScreen):
    """Every setting on one of a few pages, what it means, and the checks."""

    stage = "configure"
    CSS_PATH = "screen.tcss"
    HELP = """
## Configure

Choose a page on the left; Right or Enter goes into it and Escape back. Nothing is written before you save.
"""
    BINDING_GROUP_TITLE = "Configure"
    SHELL: ClassVar[Mapping[str, str]] = {
        "configure.check": "phichat check",
        "configure.sign_in": "phichat login",
        "configure.provision": "phichat provision",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", tooltip="Write what you changed.", id="configure.save"),
        Binding("f8", "discard", "Discard", tooltip="Take back what you changed.", id="configure.discard"),
        Binding("f5", "check", "Check", tooltip="See whether everything is in place.", id="configure.check"),
        Binding(
            "f6",
            "sign_in",
            "Sign in",
            tooltip="Sign in where the work happens.",
            id="configure.sign_in",
            show=False,
        ),
        Binding(
            "f7",
            "provision",
            "Make ready",
            tooltip="See what the place still needs, and make it.",
            id="configure.provision",
            show=False,
        ),
        Binding("escape", "stop", "Stop", tooltip="Stop checking.", id="configure.stop"),
        Binding("escape", "pages", "Pages", tooltip="Back to the list of pages.", id="configure.pages"),
        Binding(
            "right", "into", "Into the page", tooltip="Go into the page.", id="configure.into", show=False
        ),
    ]

    class Found(Message):
        """What there is to choose from is known."""

        def __init__(self, offers: Offers, models: list[ModelOffer], secrets: Mapping[str, str]) -> None:
            super().__init__()
            self.offers = offers
            self.models = models
            self.secrets = secrets

    class Saved(Message):
        """The changes are written."""

    class Checking(Message):
        """A part of the checks begins."""

        def __init__(self, part: Progress) -> None:
            super().__init__()
            self.part = part

    class Checked(Message):
        """The checks have told how they went."""

        def __init__(self, checks: list[Check], spent: str) -> None:
            super().__init__()
            self.checks = checks
            self.spent = spent
            """What the project has cost so far; empty where nothing does."""

    class Failed(Message):
        """Something in the background did not work."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._project: Project | None = None
        self._problem: PhichatError | None = None
        """Why there is no project."""
        self._draft: Draft | None = None
        self._checking: Worker[None] | None = None
        self._at = "backend"
        """The page that is shown."""
        self._page = Page()

    def body(self) -> ComposeResult:
        with Horizontal(id="configure"):
            yield OptionList(*(Option(title, id=name) for name, title in PAGES.items()), id="pages")
            yield self._page
        yield Static(HOW, id="about")

    def on_mount(self) -> None:
        self.query_one("#pages").focus()

    async def session_changed(self) -> None:
        project, problem = self.session.project, self.session.readiness.problem
        if project is None:
            if (problem and self._project is not None) or (problem and self._draft is None):
                await self.show_problem(problem, "model.retry")
                self._project = None
            return
        if project is not self._project:
            self._project, self._problem, self._page.checks = project, None, None
            await self.clear_problem()
            self._draft = Draft(project.loaded)
            await self._show_page()
            self._look(project)

    # In the background

    @work(group="offers", exclusive=True, exit_on_error=False)
    async def _look(self, project: Project) -> None:
        from phichat.workflow.offers import model_offers, offers, secret_sources

        try:
            models = await asyncio.to_thread(model_offers, project.folders.cache)
            found = await offers(project.registry)
            secrets = await asyncio.to_thread(secret_sources, found, project.loaded.environ)
            self.post_message(self.Found(found, models, secrets))
        except Exception as error:
            self.post_message(self.Failed(error))

    @work(group="save", exclusive=True, exit_on_error=False)
    async def _save(self, draft: Draft) -> None:
        try:
            await asyncio.to_thread(draft.save)
            self.post_message(self.Saved())
        except Exception as error:
            self.post_message(self.Failed(error))

    @work(group="checks", exclusive=True, exit_on_error=False)
    async def _check(self, project: Project) -> None:
        try:
            checks = await project.check(self._tell_of)
            self.post_message(self.Checked(checks, await asyncio.to_thread(_spent, project)))
        except Exception as error:
            self.post_message(self.Failed(error))

    async def on_configure_screen_found(self, event: Found) -> None:
        if self._draft:
            self._draft.offers, self._draft.secrets = event.offers, event.secrets
            self._page.models = event.models
            await self._show_page()

    async def on_configure_screen_saved(self) -> None:
        self.notify("Saved in phichat.toml.", timeout=3)
        await self.clear_problem()
        self.run_worker(self.session.reopen(), group="reopen", exclusive=True, exit_on_error=False)

    def _tell_of(self, event: Event) -> None:
        if event.kind == "progress":
            self.post_message(self.Checking(event))

    def on_configure_screen_checking(self, event: Checking) -> None:
        of = f" ({event.part.done + 1:.0f} of {event.part.total:.0f})" if (event.part.total or 1) > 1 else ""
        if self._checking:
            self._page.tell_checking(f"Checking {event.part.what}{of} …")

    async def on_configure_screen_checked(self, event: Checked) -> None:
        self._done_checking()
        self._page.checks, self._page.spent = event.checks, event.spent
        await self._show_page()
        if self._at == "checks":
            self.action_into()

    async def on_configure_screen_failed(self, event: Failed) -> None:
        self._done_checking()
        await self.show_problem(event.error)

    # A page

    async def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        name = event.option.id or ""
        if event.option_list.id == "pages" and name != self._at:
            self._at = name
            await self._show_page()
        elif event.option_list.has_focus:
            self._explain_option(event.option_list, name)

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        name = event.option.id or ""
        if event.option_list.id == "pages":
            self.action_into()
        elif isinstance(event.option_list, BackendList):
            await self._choose(("backend",), name)
        elif isinstance(event.option_list, ModelList):
            await self._choose(("base_model",), name)
        elif isinstance(event.option_list, CheckList) and (found := event.option_list.remedy()):
            self.post_message(self.Mend(found))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        widget = event.widget
        if isinstance(widget, OptionList) and widget.id != "pages":
            option = widget.highlighted_option
            self._explain_option(widget, (option and option.id) or "")
        elif isinstance(widget.parent, FieldRow):
            self._explain(widget.parent)
        else:
            self.query_one("#about", Static).update(HOW)

    def on_field_row_edited(self, event: FieldRow.Edited) -> None:
        if self._draft:
            self._draft.put(event.field.row, event.text)
            fault = self._draft.faults.get(event.field.row.key, "")
            event.field.show(self._draft.origin(event.field.row), wrong=bool(fault))
            self._explain(event.field)
            self.refresh_bindings()

    async def _show_page(self) -> None:
        if self._draft:
            await self._page.show(self._at, self._draft)
            self.refresh_bindings()

    async def _choose(self, key: tuple[str, ...], name: str) -> None:
        if self._draft and (row := self._draft.row(key)):
            self._draft.put(row, name)
            await self._show_page()

    def _explain(self, field: FieldRow) -> None:
        if self._draft:
            self.query_one("#about", Static).update(self._draft.about(field.row))

    def _explain_option(self, options: OptionList, name: str) -> None:
        """Say more about what is highlighted in a list."""
        if self._draft:
            told = self._page.told(options, name, self._draft)
            self.query_one("#about", Static).update(Content(told))

    # What the keys do

    def action_save(self) -> None:
        """Write what was changed, unless something of it is wrong."""
        if not self._draft:
            return
        if self._draft.faults:
            names = ", ".join(".".join(key) for key in self._draft.faults)
            self.notify(f"Not saved: {names} must be mended first.", severity="error", markup=False)
            return
        self._save(self._draft)

    async def action_discard(self) -> None:
        """Take back what was changed."""
        if self._draft:
            self._draft.clear()
            await self._show_page()

    async def action_check(self) -> None:
        """Check in the background whether everything is in place."""
        if self.session.project is None:
            return
        self._checking = self._check(self.session.project)
        self._page.checking = CHECKING
        self.bar.activity = "checking"
        self.bar.show()
        await self._go_to("checks")

    async def action_stop(self) -> None:
        """Stop checking."""
        if self._checking:
            self._checking.cancel()
            self._done_checking()
            await self._show_page()

    async def action_sign_in(self) -> None:
        """Sign in where the work happens."""
        await self.run_action("app.sign_in")

    async def action_provision(self) -> None:
        """See what the place still needs, and make it."""
        await self.run_action("app.provision")

    def action_pages(self) -> None:
        """Go back to the list of pages."""
        self.query_one("#pages").focus()

    def action_into(self) -> None:
        """Go into the page."""
        self._page.enter()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        focused = self.focused
        match action:
            case "save" | "discard":
                return self._draft is not None and self._draft.changed
            case "check":
                return self.session.project is not None and self._checking is None
            case "sign_in" | "provision":
                return self.session.supports(action)
            case "stop":
                return self._checking is not None
            case "pages":
                return self._checking is None and (focused is None or focused.id != "pages")
            case "into":
                return focused is not None and focused.id == "pages"
        return super().check_action(action, parameters)

    async def carry_out(self, command: tuple[str, ...]) -> None:
        match command:
            case ("check", *_):
                await self.action_check()
            case ("secret", *_):
                await self._go_to("secrets")
            case ("models", *_):
                await self._go_to("model")
            case ("backends", *_):
                await self._go_to("backend")
            case ("init", *_):
                await self.run_action("app.setup")
            case _:
                self.notify(f"In a shell: phichat {' '.join(command)}", markup=False)

    async def mended(self) -> None:
        await super().mended()
        await self.action_check()

    async def _go_to(self, page: str) -> None:
        pages = self.query_one("#pages", OptionList)
        self._at = page
        pages.highlighted = list(PAGES).index(page)
        await self._show_page()
        self.action_into()

    def _done_checking(self) -> None:
        self._checking, self._page.checking = None, ""
        self.bar.activity = ""
        self.bar.show()
        self.refresh_bindings()


def _spent(project: Project) -> str:
    """What a project has cost so far; nothing where its backend is broken, which the checks tell."""
    with contextlib.suppress(PhichatError):
        return spent_so_far(project.training.purse.spending())
    return ""
