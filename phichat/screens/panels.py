"""Panels that say what stands in the way of an answer, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from phichat.errors import PhichatError
from phichat.screens.choice import Choice
from phichat.screens.readiness import Obstacle, Readiness
from phichat.screens.remedies import remedy
from phichat.screens.session import Session
from phichat.screens.stage import StageScreen
from phichat.screens.wording import size


class Panel(Vertical):
    """Words about something that is in the way, and choices."""

    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")


class ErrorPanel(Panel):
    """An error: the sentence, the hint, a key that does what the hint says, and one that tries again.

    `retry` is the id of the binding that tries again, empty where there is none. A key does what the hint
    says wherever such a panel is on the screen: the application looks for it.
    """

    def __init__(self, problem: PhichatError, retry: str = "") -> None:
        super().__init__(classes="-error")
        self._problem = problem
        self._retry = retry

    def compose(self) -> ComposeResult:
        yield from explain(self._problem, self._retry, stage_of(self.screen))


class Words(VerticalScroll):
    """What an error says; it scrolls when that is much."""

    def __init__(self, problem: PhichatError) -> None:
        super().__init__(classes="words")
        self.problem = problem

    def compose(self) -> ComposeResult:
        yield Static(Content.assemble(("✗ ", "$text-error"), self.problem.message), classes="what")
        if self.problem.hint:
            yield Static(Content(self.problem.hint), classes="hint")


def stage_of(screen: Screen[Any]) -> str:
    """The stage that a screen is for; empty for a dialogue."""
    return screen.stage if isinstance(screen, StageScreen) else ""


def explain(problem: PhichatError, retry: str = "", here: str = "") -> ComposeResult:
    """What a panel about an error consists of; `retry` is the id of the binding that tries again."""
    yield Words(problem)
    found = remedy(problem, here)
    choices = [Choice("app.remedy", found.title)] if found else []
    if retry:
        choices.append(Choice(retry))
    if choices:
        yield Horizontal(*choices, classes="choices")


class Meter(Widget):
    """A bar that shows how much is done; it has no timer."""

    def __init__(self) -> None:
        super().__init__()
        self._share = 0.0

    def show(self, done: float, total: float) -> None:
        """Show a share of the whole."""
        self._share = min(1.0, done / total) if total else 0.0
        self.refresh()

    def render(self) -> Content:
        """What is done is drawn in another colour and another shape than what is not."""
        full = round(self.size.width * self._share)
        return Content.assemble(
            ("━" * full, "$text-primary"), ("┄" * (self.size.width - full), "$text-muted")
        )


class ModelPanel(Panel):
    """Why there is no model yet: the offer to download it, the download, or what went wrong."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._about: Obstacle = ""

    async def show(self) -> None:
        """Show the session as it is now; the widgets are made anew only when something else is to be said."""
        readiness = self._session.readiness
        if readiness.obstacle != self._about:
            self._about = readiness.obstacle
            self.set_class(self._about == "failed", "-error")
            self.display = bool(self._about)
            async with self.batch():
                await self.remove_children()
                await self.mount_all(self._content(readiness))
        if self._about == "downloading":
            told = _sentence(f"{readiness.detail} {readiness.amount}")
            self.query_one(".what", Static).update(Content(told), layout=False)
            self.query_one(Meter).show(readiness.done or 0, readiness.total or 0)

    def _content(self, readiness: Readiness) -> ComposeResult:
        model = self._session.model
        amount = size(readiness.size) if readiness.size else "an unknown amount"
        if self._about == "offered":
            yield Static(Content.assemble((model, "bold"), " is not on this machine yet."), classes="what")
            yield Static(f"It is downloaded once, {amount}; then it works offline.", classes="hint")
            yield Horizontal(Choice("model.download"), Choice("model.decline"), classes="choices")
        elif self._about == "declined":
            yield Static(Content(f"Without {model} nobody can answer."), classes="what")
            command = f"phichat models pull {self._session.base_model}"
            yield Static(Content(f"Download it here, {amount}, or in a shell: {command}"), classes="hint")
            yield Horizontal(Choice("model.download"), classes="choices")
        elif self._about == "downloading":
            yield Static(classes="what")
            yield Meter()
            yield Horizontal(Choice("model.cancel"), classes="choices")
        elif readiness.problem:
            yield from explain(readiness.problem, "model.retry", stage_of(self.screen))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
