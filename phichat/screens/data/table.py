"""A table of any length: only the lines that are to be seen are ever read."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

KEPT = 400
"""Lines that are not read a second time while one scrolls among them."""


class LineTable(ScrollView, can_focus=True):
    """Lines that are asked for by number when they come into view, with one under the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor", "table--resting"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "by(-1)", "Up", tooltip="The line above.", id="table.up", show=False),
        Binding("down,j", "by(1)", "Down", tooltip="The line below.", id="table.down", show=False),
        Binding("pageup", "page(-1)", "Page up", tooltip="A page up.", id="table.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", tooltip="A page down.", id="table.page_down", show=False),
        Binding("home", "to(0)", "Top", tooltip="The first line.", id="table.top", show=False),
        Binding("end", "to(-1)", "End", tooltip="The last line.", id="table.end", show=False),
        Binding(
            "enter", "choose", "Open", tooltip="Show what is under the cursor.", id="table.open", show=False
        ),
    ]

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, table: LineTable) -> None:
            super().__init__()
            self.table = table

    class Chosen(Moved):
        """The line under the cursor is to be shown."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.count = 0
        self.cursor = 0
        self._line: Callable[[int], Content] = lambda _: Content()

    def show(self, count: int, line: Callable[[int], Content], cursor: int = 0) -> None:
        """Show so many lines, and what each of them says."""
        self.count, self._line = count, lru_cache(KEPT)(line)
        self.virtual_size = Size(0, count)
        self.cursor = -1
        self.move(cursor)
        self.refresh()

    def move(self, number: int) -> None:
        """Put the cursor on a line."""
        number = max(0, min(number, self.count - 1))
        if self.count and number != self.cursor:
            self.cursor = number
            self.scroll_to_region(Region(0, number, 1, 1), animate=False, force=True)
            self.refresh()
            self.post_message(self.Moved(self))

    def render_line(self, y: int) -> Strip:
        """One line of what is to be seen."""
        number, width = self.scroll_offset.y + y, self.scrollable_content_region.width
        style = self.visual_style
        if number >= self.count or not width:
            return Strip.blank(width, style.rich_style)
        if number == self.cursor:
            style = self.get_visual_style("table--cursor" if self.has_focus else "table--resting")
        content = self._line(number).truncate(width, ellipsis=True)
        if number == self.cursor:
            content = Content(content.plain)  # one colour that can be read on the cursor
        strip = Visual.to_strips(self, content, width, 1, style)[0]
        return strip.extend_cell_length(width, style.rich_style)

    def action_by(self, lines: int) -> None:
        """Go some lines down, or up."""
        self.move(self.cursor + lines)

    def action_page(self, pages: int) -> None:
        """Go a page down, or up."""
        self.move(self.cursor + pages * max(1, self.size.height - 1))

    def action_to(self, number: int) -> None:
        """Go to a line; -1 is the last one."""
        self.move(number if number >= 0 else self.count - 1)

    def action_choose(self) -> None:
        """Show what is under the cursor."""
        if self.count:
            self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        """The line that was clicked is the one under the cursor; a second click opens it."""
        number = self.scroll_offset.y + event.y
        if number == self.cursor and event.chain > 1:
            self.action_choose()
        self.move(number)
