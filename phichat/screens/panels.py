"""Panels that say what stands in the way of an answer, and what to do about it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from phichat.errors import PhichatError
from phichat.screens.keys import possible
from phichat.screens.session import Readiness, Session
from phichat.screens.wording import size


class Choice(Static, can_focus=True):
    """A button for a binding: it says the same, shows its key, and does the same."""

    HELP = "A button: Enter or a click does what it says. The key beside its name does it from anywhere."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press", "Press", tooltip="Do what the button says.", id="choice.press"),
    ]

    def __init__(self, binding: str) -> None:
        super().__init__(classes="choice")
        self._binding = binding

    def on_mount(self) -> None:
        self._show()
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._show())

    async def on_click(self) -> None:
        await self.action_press()

    async def action_press(self) -> None:
        """Do what the key does, unless that is not possible any more."""
        if action := possible(self.screen, self._binding):
            await action.run()

    def _show(self) -> None:
        action = possible(self.screen, self._binding)
        self.display = action is not None
        if action:
            self.tooltip = action.binding.tooltip
            key = f"{action.keys[0]} " if action.keys else ""
            self.update(Content.assemble((key, "bold"), action.binding.description))


class ErrorPanel(Vertical):
    """An error: the sentence, the hint, and a key that tries again."""

    def __init__(self, problem: PhichatError, retry: str) -> None:
        super().__init__(classes="panel -error")
        self._problem = problem
        self._retry = retry

    def compose(self) -> ComposeResult:
        yield from explain(self._problem, self._retry)


def explain(problem: PhichatError, retry: str) -> ComposeResult:
    """What a panel about an error consists of; `retry` is the id of the binding that tries again."""
    words = [Static(Content.assemble(("✗ ", "$text-error"), problem.message), classes="what")]
    if problem.hint:
        words.append(Static(Content(problem.hint), classes="hint"))
    yield VerticalScroll(*words, classes="words")
    yield Horizontal(Choice(retry), classes="choices")


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


class ModelPanel(Vertical):
    """Why there is no model yet: the offer to download it, the download, or what went wrong."""

    def __init__(self, session: Session) -> None:
        super().__init__(classes="panel")
        self._session = session
        self._kind = ""

    async def show(self) -> None:
        """Show the session as it is now; the widgets are made anew only when something else is to be said."""
        readiness = self._session.readiness
        kind = _kind(readiness)
        if kind != self._kind:
            self._kind = kind
            self.set_class(kind == "failed", "-error")
            self.display = bool(kind)
            async with self.batch():
                await self.remove_children()
                await self.mount_all(self._content(readiness))
        if kind == "downloading":
            self.query_one(".what", Static).update(Content(_sentence(readiness.detail)), layout=False)
            self.query_one(Meter).show(readiness.done or 0, readiness.total or 0)

    def _content(self, readiness: Readiness) -> ComposeResult:
        model = self._session.model
        amount = size(readiness.size) if readiness.size else "an unknown amount"
        if self._kind == "offered":
            yield Static(Content.assemble((model, "bold"), " is not on this machine yet."), classes="what")
            yield Static(f"It is downloaded once, {amount}; then it works offline.", classes="hint")
            yield Horizontal(Choice("model.download"), Choice("model.decline"), classes="choices")
        elif self._kind == "declined":
            yield Static(Content(f"Without {model} nobody can answer."), classes="what")
            command = (
                f"phichat models pull {self._session.project.base_model}" if self._session.project else ""
            )
            yield Static(Content(f"Download it here, {amount}, or in a shell: {command}"), classes="hint")
            yield Horizontal(Choice("model.download"), classes="choices")
        elif self._kind == "downloading":
            yield Static(classes="what")
            yield Meter()
            yield Horizontal(Choice("model.cancel"), classes="choices")
        elif readiness.problem:
            yield from explain(readiness.problem, "model.retry")


def _kind(readiness: Readiness) -> str:
    """What the panel is about; empty when nothing stands in the way. Counted preparations are downloads."""
    if readiness.phase == "preparing":
        return "downloading" if readiness.total else ""
    return readiness.phase if readiness.phase in ("offered", "declined", "failed") else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
