"""Calls a person back who looks at another window: the terminal's bell, and a mark in its title."""

from __future__ import annotations

from textual.app import App

SAVE, RESTORE = "\x1b[22;0t", "\x1b[23;0t"
"""Of the window's title, on the terminal's own stack (XTWINOPS of xterm's control sequences)."""


class Attention:
    """The bell and the title of the terminal that an application runs in."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self.marked = ""
        """What the title says now; empty: what it said before."""

    def call(self, text: str) -> None:
        """Ring, and say in the title what has happened, unless the person is here."""
        if self._app.app_focus:
            return
        self._app.bell()
        self._write(("" if self.marked else SAVE) + _title(f"● {text}"))
        self.marked = text

    def end(self) -> None:
        """The person is back: the title says again what it said before."""
        if self.marked:
            self.marked = ""
            # Terminals without such a stack keep the last title: then it is the application's name.
            self._write(_title(self._app.title) + RESTORE)

    def _write(self, sequence: str) -> None:
        driver = self._app._driver
        if driver is not None and not self._app.is_headless:
            driver.write(sequence)


def _title(text: str) -> str:
    safe = "".join(character for character in text if character.isprintable())
    return f"\x1b]0;{safe}\x07"
