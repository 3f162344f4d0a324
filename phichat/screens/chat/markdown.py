"""Markdown that grows while it is generated, at a pace that leaves the keyboard alive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import perf_counter

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Markdown, Static
from textual.widgets._markdown import (
    MarkdownBlock,
    MarkdownBullet,
    MarkdownBulletList,
    MarkdownList,
    MarkdownListItem,
    MarkdownOrderedList,
    MarkdownOrderedListItem,
)

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


def code_blocks(text: str) -> list[str]:
    """The code in a text's fences, as it was written; the whole text where no fence is one."""
    return [token.content for token in parser().parse(text) if token.type == "fence"] or [text]


class GrowingBulletList(MarkdownBulletList):
    """A list of bullets that is not built anew for every piece of its last item."""

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if not (isinstance(block, MarkdownBulletList) and await _grow(self, block)):
            await super()._update_from_block(block)


class GrowingOrderedList(MarkdownOrderedList):
    """A list of numbers that is not built anew for every piece of its last item."""

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if not (isinstance(block, MarkdownOrderedList) and await _grow(self, block)):
            await super()._update_from_block(block)


async def _grow(shown: MarkdownList, parsed: MarkdownList) -> bool:
    """Change only the last item and add what follows; appending cannot have changed the others.

    Returns False when the items before have changed all the same, such as in width.
    """
    items = [each for each in parsed._blocks if isinstance(each, MarkdownListItem)]
    marks, rows = _marks(items), len(shown.children)
    if (
        not rows
        or [row.query_children(MarkdownBullet).first().symbol for row in shown.children] != marks[:rows]
    ):
        return False
    await shown.children[-1].remove()
    await shown.mount_all(map(_row, marks[rows - 1 :], items[rows - 1 :]))
    return True


def _marks(items: list[MarkdownListItem]) -> list[str]:
    """What stands before the items: as Textual has it, numbers are right-aligned."""
    if not items or not isinstance(items[0], MarkdownOrderedListItem):
        return [item.bullet for item in items]
    first = int(items[0].bullet) if items[0].bullet.isdecimal() else 1
    width = len(str(first + len(items) - 1))
    return [f" {number:>{width}}. " for number in range(first, first + len(items))]


def _row(mark: str, item: MarkdownListItem) -> Horizontal:
    bullet = MarkdownBullet()
    bullet.symbol = mark
    return Horizontal(bullet, Vertical(*item._blocks))


LISTS: dict[str, type[MarkdownBlock]] = {
    "bullet_list_open": GrowingBulletList,
    "ordered_list_open": GrowingOrderedList,
}


class ChatMarkdown(Markdown):
    """Markdown whose long lists can be appended to."""

    BLOCKS = Markdown.BLOCKS | LISTS

    def __init__(self) -> None:
        super().__init__(parser_factory=parser)


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
            document = ChatMarkdown()
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
            if self._complete.is_set():
                # That it was stopped is shown before the rest, which may be long.
                await document.wait_for_refresh()
            text = "".join(self._pending)
            self._pending.clear()
            started = perf_counter()
            await document.append(text)
            # Most of the cost is in laying out and drawing, which come after.
            await document.wait_for_refresh()
            await self._rest(REST * (perf_counter() - started))
        # A link may be defined below the place that uses it, which no append goes back to.
        if "]:" in self._text:
            await document.update(self._text)

    async def _rest(self, seconds: float) -> None:
        """Leave the processor to others, unless this was the last piece."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._complete.wait(), max(MIN_WAIT_S, seconds))
