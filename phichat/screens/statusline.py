"""The line above the keys: which project, backend and model this is, and what is alive."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from phichat.screens.session import Session


class StatusLine(Static):
    """Project, backend, model and deployment."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._shown = ""

    def show(self) -> None:
        """Show the session as it is now."""
        project = self._session.project
        if project is None:
            return
        named = [project.root.name] if project.root else []
        text = " · ".join([*named, self._session.backend, self._session.model])
        if text != self._shown:
            self._shown = text
            self.update(Content(text))
