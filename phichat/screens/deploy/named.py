"""Any other model to deploy: a hub id or a folder, judged while it is typed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from phichat import models
from phichat.errors import ConfigError
from phichat.screens.oneline import OneLine

MEANING = "A model of the hub as org/name[@revision], or the folder of one."


class NamedModel(Vertical):
    """A line to type a model into, and what is wrong with what stands there."""

    class Chosen(Message):
        """The person wants this model."""

        def __init__(self, model: str) -> None:
            super().__init__()
            self.model = model

    class Judged(Message):
        """What was typed means this model, or nothing, and why."""

        def __init__(self, model: str, told: str, *, wanted: bool) -> None:
            super().__init__()
            self.model = model
            self.told = told
            self.wanted = wanted

    def __init__(self) -> None:
        super().__init__(id="named")
        self.home = Path()
        """Where a relative folder begins."""

    def compose(self) -> ComposeResult:
        yield Static("Another one", classes="title")
        yield OneLine(placeholder="org/name or a folder", compact=True, id="named-input")
        yield Static(MEANING, id="named-told")

    def type(self, text: str) -> None:
        """Write at the end of the line, and go there."""
        field = self.query_one(Input)
        field.focus()
        field.insert_text_at_cursor(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._judge(event.value.strip(), wanted=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._judge(event.value.strip(), wanted=True)

    @work(exclusive=True, exit_on_error=False)
    async def _judge(self, text: str, *, wanted: bool) -> None:
        """Look at it in a thread: a folder may lie on a slow disk."""
        try:
            model, told = await asyncio.to_thread(_meant, text, self.home)
        except ConfigError as error:
            model, told = "", f"{error.message} {error.hint}".strip()
        except OSError as error:
            model, told = "", f"{text} cannot be read: {error.strerror}."
        self.post_message(self.Judged(model, told, wanted=wanted))

    def on_named_model_judged(self, event: Judged) -> None:
        event.stop()
        sign, colour = ("✓ ", "$text-success") if event.model else ("✗ ", "$text-error")
        if not event.told:
            sign, event.told = "", MEANING
        self.query_one("#named-told", Static).update(Content.assemble((sign, colour), event.told))
        if event.wanted and event.model:
            self.post_message(self.Chosen(event.model))


def _meant(text: str, home: Path) -> tuple[str, str]:
    """The model that a text means, and what it is; neither where nothing was typed.

    Raises:
        ConfigError: it means none.
    """
    if not text:
        return "", ""
    folder = home / Path(text).expanduser()
    ref = models.resolve(str(folder) if folder.is_dir() else text)
    if ref.folder:
        return str(ref.folder), f"The model in the folder {text}."
    return ref.name, f"{ref.title}, of the hub." if ref.repo else f"{ref.title}."
