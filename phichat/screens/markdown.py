"""Markdown that grows while it is generated, at a pace that leaves the keyboard alive."""

from __future__ import annotations

import asyncio
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
    """A Markdown document that is fed piece by piece.

    One pump a document appends what has come since the last time. Appending parses and lays out the
    last block again, which takes the longer the longer the block is: the pump waits accordingly.
    """

    def __init__(self, text: str = "", *, complete: bool = True) -> None:
        super().__init__()
        self._text = text
        self._complete = asyncio.Event()
        if complete:
            self._complete.set()
        self._pending: list[str] = [] if complete else [text]
        self._arrived = asyncio.Event()

    async def on_mount(self) -> None:
        if self._complete.is_set():
            await self.mount(Markdown(self._text, parser_factory=parser))
        else:
            self.run_worker(self._pump(), group="pump")

    def feed(self, text: str) -> None:
        """Add to the end; it is shown when its turn comes."""
        self._text += text
        self._pending.append(text)
        self._arrived.set()

    def finish(self) -> None:
        """No more will come: show what is left at once."""
        self._complete.set()
        self._arrived.set()

    async def _pump(self) -> None:
        try:
            await self._append_all()
        except Exception:
            # A document that Textual cannot render must still be readable, and never end the application.
            await self.remove_children()
            await self.mount(Static(Content(self._text), classes="plain"))

    async def _append_all(self) -> None:
        document = Markdown(parser_factory=parser)
        await self.mount(document)
        while not (self._complete.is_set() and not self._pending):
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
        try:
            await asyncio.wait_for(self._complete.wait(), max(MIN_WAIT_S, seconds))
        except TimeoutError:
            return
