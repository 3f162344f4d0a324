"""Signing in where the work happens: a code to enter at any browser, and what came of it."""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from phichat.events import Status
from phichat.screens.background import Background, Happened, Refused
from phichat.screens.browsing import browse
from phichat.screens.choice import Choice
from phichat.screens.clipboard import Copy
from phichat.screens.session import Session

_SAID = re.compile(r"open (https?://\S+) and enter (\S+)(?: \((until [^)]+)\))?", re.IGNORECASE)
"""How a backend says where to enter which code; one that says it in other words is shown in its own."""


class Code(NamedTuple):
    """Where to enter which code, and until when."""

    address: str
    code: str
    until: str = ""


def code_in(sentence: str) -> Code | None:
    """The code that a sentence tells, if it does."""
    found = _SAID.search(sentence)
    return Code(found[1], found[2], found[3] or "") if found else None


class SignedIn(Message):
    """Somebody has signed in."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.kept = kept


class SigningIn(Background):
    """The sign-in, and whose it is."""

    def begin(self) -> None:
        """Ask for a code, and wait until it was entered."""
        self._do("sign-in", self._sign_in)

    async def _sign_in(self) -> None:
        self._tell(SignedIn(await self._project.sign_in(self._report)))

    @property
    def tenant(self) -> str:
        """Whose sign-in is wanted, where the backend makes a difference."""
        settings = self._project.backend.settings
        if "tenant_id" not in type(settings).model_fields:
            return ""
        tenant = getattr(settings, "tenant_id", "")
        if tenant:
            return f"It is for the tenant {tenant}, as backends.{self._session.backend}.tenant_id says."
        return "If you belong to several tenants, set tenant_id on Configure, page Backend, first."


class SignInScreen(ModalScreen[bool]):
    """A code, large, with what to do with it; gives whether somebody has signed in."""

    CSS_PATH = "sign_in.tcss"
    HELP = """
## Sign in

Open the page at any browser, here or on another machine, and enter the code there. This screen waits and
closes by itself. Your password is never asked for here. Escape gives it up.
"""
    BINDING_GROUP_TITLE = "Sign in"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy the code", tooltip="Copy the code.", id="sign_in.copy"),
        Binding("o", "open", "Open the page", tooltip="Open the page in a browser.", id="sign_in.open"),
        Binding("ctrl+r", "retry", "Try again", tooltip="Ask for another code.", id="sign_in.retry"),
        Binding("escape", "dismiss(False)", "Cancel", tooltip="Do not sign in.", id="sign_in.close"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._work = SigningIn(session, self)
        # Now: the project may be opened anew meanwhile.
        self._place, self._tenant = self._work.place, self._work.tenant
        self._code: Code | None = None
        self._said = ""
        self._failed = False

    def compose(self) -> ComposeResult:
        with Vertical(id="sign-in"):
            yield Static(id="told")
            yield Static(id="code")
            yield Static(id="then", classes="hint")
            yield Horizontal(
                *(Choice(f"sign_in.{name}") for name in ("copy", "open", "retry", "close")), classes="choices"
            )

    def on_mount(self) -> None:
        self.query_one("#sign-in").border_title = f"Sign in to {self._place}"
        self.action_retry()

    def on_happened(self, event: Happened) -> None:
        if isinstance(event.event, Status) and event.event.detail:
            self._said = event.event.detail
            self._code = code_in(self._said)
            self._show()

    def on_signed_in(self, event: SignedIn) -> None:
        said = self._said if self._code is None and self._said else "signed in"
        lasts = (
            "" if event.kept else " This machine has no keyring that keeps it: it ends with this application."
        )
        self.notify(f"{said[:1].upper()}{said[1:]}.{lasts}", markup=False)
        self.dismiss(True)

    def on_refused(self, event: Refused) -> None:
        if event.problem is None:  # it was given up, or another code was asked for
            return
        self._code, self._failed = None, True
        told = Content.assemble(("✗ ", "$text-error"), event.problem.message)
        self._write(told, "Escape leaves it; ctrl+r asks for another code.")

    def action_retry(self) -> None:
        """Ask for a code."""
        self._code, self._said, self._failed = None, "", False
        self._write(Content("Asking for a code…"), "")
        self._work.begin()

    def action_copy(self) -> None:
        """Copy the code."""
        if self._code:
            self.post_message(Copy(self._code.code, f"The code {self._code.code}"))

    def action_open(self) -> None:
        """Open the page on which the code is entered."""
        if self._code:
            browse(self.app, self._code.address)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action in ("copy", "open"):
            return self._code is not None
        if action == "retry":
            return self._failed
        return super().check_action(action, parameters)

    def _show(self) -> None:
        if self._code is None:
            self._write(Content(self._said), "")
            return
        told = Content.assemble(
            "Open this page in any browser, here or on another machine:\n\n",
            (self._code.address, "bold $text-primary"),
            "\n\nand enter this code there",
            f", {self._code.until}:" if self._code.until else ":",
        )
        self._write(told, f"This screen waits, and closes by itself.\n{self._tenant}")

    def _write(self, told: Content, then: str) -> None:
        self.query_one("#told", Static).update(told)
        code = self.query_one("#code", Static)
        code.display = self._code is not None
        code.update(Content.styled(" ".join(self._code.code) if self._code else "", "bold"))
        self.query_one("#then", Static).update(Content(then.strip()))
        self.refresh_bindings()
