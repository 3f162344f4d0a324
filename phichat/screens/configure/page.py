"""A page of the configuration: what it is about, and what it lets one choose or fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static

from phichat.screens.choice import Choice
from phichat.screens.configure.checklist import CheckList
from phichat.screens.configure.fields import FieldRow
from phichat.screens.configure.pickers import BackendList, ModelList
from phichat.screens.configure.settings import Draft

if TYPE_CHECKING:
    from phichat.backends.base import Check
    from phichat.workflow.offers import ModelOffer

PAGES = {
    "backend": "Backend",
    "model": "Model",
    "data": "Data",
    "train": "Train",
    "deploy": "Deploy",
    "chat": "Chat",
    "history": "History",
    "secrets": "Secrets",
    "checks": "Checks",
}
CHECKING = "Checking what must be in place …"
REMARKS = {
    "backend": "Where models are trained, deployed and chatted with.",
    "model": "The model to start from: its size, its context in tokens, its licence, and what to download.",
    "secrets": "They go into the keyring of the operating system, never into a file.",
}


class Page(VerticalScroll, can_focus=False):
    """One page after the other, in the same place."""

    def __init__(self) -> None:
        super().__init__(id="page")
        self.models: list[ModelOffer] = []
        self.checks: list[Check] | None = None
        """How the checks went; None: nobody has asked."""
        self.spent = ""
        """What the project has cost so far; empty where nothing does."""
        self.checking = ""
        """What is being checked just now; empty: nothing."""

    async def show(self, name: str, draft: Draft) -> None:
        """Show a page anew; what has the focus keeps it, by its place."""
        focused = self.screen.focused
        inside = focused is not None and self in focused.ancestors
        at = self._focusable.index(focused) if inside and focused else 0
        async with self.batch():
            await self.remove_children()
            await self.mount_all(self._content(name, draft))
        if inside and (fields := self._focusable):
            fields[min(at, len(fields) - 1)].focus()

    def enter(self) -> None:
        """Give the focus to what comes first on the page."""
        if fields := self._focusable:
            fields[0].focus()

    def tell_checking(self, told: str) -> None:
        """Say what is being checked just now."""
        self.checking = told
        for shown in self.query("#checking").results(Static):
            shown.update(Content(told))

    def told(self, options: OptionList, name: str, draft: Draft) -> str:
        """What there is to say of what is highlighted in a list."""
        if isinstance(options, CheckList):
            return options.told()
        if isinstance(options, ModelList):
            return next((each.title for each in self.models if each.name == name), "")
        if isinstance(options, BackendList):
            backends = draft.offers.backends
            return next((f"{b.error or b.title}\n{b.package}" for b in backends if b.name == name), "")
        return ""

    def _content(self, name: str, draft: Draft) -> list[Widget]:
        shown: list[Widget] = []
        if draft.loaded.project is None:
            shown.append(Static("There is no project here: saving makes one.", classes="remark"))
            shown.append(Horizontal(Choice("project.setup"), classes="choices"))
        if remark := REMARKS.get(name):
            shown.append(Static(remark, classes="remark"))
        if name == "backend":
            backends = BackendList(classes="picker")
            backends.show(draft.offers.backends, draft.backend)
            shown.append(backends if draft.offers.backends else Static("Looking for backends…"))
        elif name == "model":
            models = ModelList(classes="picker")
            models.show(self.models, draft.base_model)
            shown.append(models)
        elif name == "checks":
            shown += self._shown_checks()
        rows = draft.rows(name)
        return [*shown, *(FieldRow(row, draft.text(row), draft.origin(row)) for row in rows)]

    def _shown_checks(self) -> list[Widget]:
        if self.checking:
            return [Static(Content(self.checking), id="checking")]
        if self.checks is None:
            return [Static("Not checked yet.", classes="remark"), _choices()]
        ok = sum(check.ok for check in self.checks)
        told = f"{ok} of {len(self.checks)} are in place." if self.checks else "Nothing has to be in place."
        if self.spent:
            told += f" Spent: {self.spent}."
        return [Static(told, classes="remark"), CheckList(self.checks), _choices()]

    @property
    def _focusable(self) -> list[Widget]:
        return [each for each in self.query("*").results(Widget) if each.focusable]


def _choices() -> Widget:
    """What can be done about the place where the work happens."""
    names = ("check", "sign_in", "provision")
    return Horizontal(*(Choice(f"configure.{name}") for name in names), classes="choices")
