"""Markdown that grows while it is generated, at a pace that leaves the keyboard alive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import perf_counter

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Markdown, Static

MIN_WAIT_S = 0.05
"""Nobody reads faster than twenty changes a second."""
REST = 3
"""How many times as long as an append has taken the next one waits: at most a quarter of the processor."""


def parser() -> MarkdownIt:
    """Markdown as people write it in chats: tables and links, line ends kept, HTML shown as it is."""
    parser = MarkdownIt("gfm-like", {"html": False})
    parser.core.ruler.push("line_ends", _keep_line_ends)
    return parser


def _keep_line_ends(state: StateCore) -> None:
    for token in state.tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"


class StreamedMarkdown(Vertical):
    """A Markdown document that is there at once, or is fed piece by piece until it is finished.

    One pump a document appends what has come since the last time. Appending parses and lays out the
    last block again, which takes the longer the longer the block is: the pump waits accordingly.
    """

    def __init__(self, text: str = "", *, complete: bool = True) -> None:
        super().__init__()
        self._text = text
        self._pending = [text]
        self._arrived = asyncio.Event()
        self._complete = asyncio.Event()
        if complete:
            self.finish()

    async def on_mount(self) -> None:
        if self._complete.is_set():
            await self._write(self._show)
        else:
            self.run_worker(self._write(self._pump), group="pump")

    def feed(self, text: str) -> None:
        """Add to the end; it is shown when its turn comes."""
        self._text += text
        self._pending.append(text)
        self._arrived.set()

    def finish(self) -> None:
        """No more will come: show what is left at once."""
        self._complete.set()
        self._arrived.set()

    async def _write(self, fill: Callable[[Markdown], Awaitable[None]]) -> None:
        try:
            document = Markdown(parser_factory=parser)
            await self.mount(document)
            await fill(document)
        except Exception:
            # What Textual cannot render must still be readable, and never end the application.
            await self._write_plain()

    async def _write_plain(self) -> None:
        plain = Static(classes="plain")
        await self.remove_children()
        await self.mount(plain)
        while True:
            self._arrived.clear()
            plain.update(Content(self._text))
            if self._complete.is_set():
                return
            await self._arrived.wait()
            await self._rest(0)

    async def _show(self, document: Markdown) -> None:
        await document.update(self._text)

    async def _pump(self, document: Markdown) -> None:
        while self._pending or not self._complete.is_set():
            await self._arrived.wait()
            self._arrived.clear()
            text = "".join(self._pending)
            self._pending.clear()
            started = perf_counter()
            await document.append(text)
            await self._rest(REST * (perf_counter() - started))
        # A link may be defined below the place that uses it, which no append goes back to.
        if "]:" in self._text:
            await document.update(self._text)

    async def _rest(self, seconds: float) -> None:
        """Leave the processor to others, unless this was the last piece."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._complete.wait(), max(MIN_WAIT_S, seconds))
