"""Where a question is written: the prompt, and above it the files that may be meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from phichat.screens.chat.prompt import Prompt

if TYPE_CHECKING:
    from phichat.history import Hit


class Desk(Vertical):
    """The prompt; what else a screen puts here stands above it."""

    class FilesFound(Message):
        """Files that a person may mean."""

        def __init__(self, names: list[str]) -> None:
            super().__init__()
            self.names = names

    def __init__(self, prompt: Prompt, folder: Callable[[], Path]) -> None:
        super().__init__(id="desk")
        self._prompt = prompt
        self._folder = folder
        """In which files are looked for."""
        self._files: list[str] | None = None
        self.attached: Sequence[Hit] = ()
        """Places of other conversations that go with the next question."""

    def compose(self) -> ComposeResult:
        yield self._prompt

    async def attach(self, hits: Sequence[Hit]) -> None:
        """Let these places of other conversations go with the next question."""
        from phichat.screens.chat.recalling import Attachments

        self.attached = tuple(hits)
        if hits and not self.query(Attachments):
            await self.mount(Attachments(), before=self._prompt)
        for shown in self.query(Attachments):
            shown.show(hits)

    def on_prompt_naming(self, event: Prompt.Naming) -> None:
        if event.part is not None:
            self._find_files(event.part)

    @work(group="files", exclusive=True, exit_on_error=False)
    async def _find_files(self, part: str) -> None:
        """Look for the files that a person may mean; the folder is read once for each mention."""
        from phichat.screens.chat.attaching import files_in, matches

        if not part or self._files is None:
            self._files = await asyncio.to_thread(files_in, self._folder())
        self.post_message(self.FilesFound(matches(part, self._files)))

    def on_desk_files_found(self, event: FilesFound) -> None:
        self._prompt.offer(event.names)

    async def on_prompt_offering(self, event: Prompt.Offering) -> None:
        await self.query("#offered").remove()
        if event.names:
            lines = [
                Content.assemble((f"› @{name}", "bold $text-primary"))
                if at == event.at
                else Content(f"  @{name}")
                for at, name in enumerate(event.names)
            ]
            offered = Static(Content("\n").join(lines), id="offered")
            await self.mount(offered, before=self._prompt)
