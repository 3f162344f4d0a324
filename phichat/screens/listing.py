"""A list with columns: a head, and rows to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.content import Content
from textual.widgets.option_list import Option

from phichat.screens.rows import Rows

GAP = "  "


class Listing(Rows):
    """Rows in columns, of which one is under the cursor; Enter chooses it."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._head: Sequence[str] = ()
        self._rows: Mapping[str, Sequence[Content]] = {}
        self._room = 0

    def show(self, head: Sequence[str], rows: Mapping[str, Sequence[Content]]) -> None:
        """Show these rows by their keys; the cursor stays on the row that it is on.

        A row of a single cell is a heading: it has the whole line, and no cursor comes there.
        """
        self._head, self._rows = head, rows
        self._lay_out()
        self.call_after_refresh(self._fit)  # what was hidden until now has its place only then

    def on_resize(self) -> None:
        self._lay_out()

    def _fit(self) -> None:
        """Arrange the rows anew if there is more or less room than they were arranged for."""
        if self._room != self._wanted_room:
            self._lay_out()

    @property
    def _wanted_room(self) -> int:
        """Columns of a row; 0 where the list has no place yet."""
        return max(0, self.scrollable_content_region.width - 2)

    def _lay_out(self) -> None:
        here = self.selected
        titles = [Content(title) for title in self._head]
        full = [cells for cells in self._rows.values() if len(cells) > 1]
        columns = zip(titles, *full, strict=True)
        widths = [max(cell.cell_length for cell in column) for column in columns]
        # A row is one line: what is too long for it ends with an ellipsis.
        self._room = self._wanted_room
        room = self._room or sum(widths) + len(GAP) * len(widths)
        self.clear_options()
        self.add_option(Option(_line(titles, widths).truncate(room, ellipsis=True), disabled=True))
        for key, cells in self._rows.items():
            line = _line(cells, widths[: len(cells)] if len(cells) > 1 else [0])
            told = Option(line.truncate(room, ellipsis=True), id=key, disabled=len(cells) == 1)
            self.add_option(told)
        keys = [key for key, cells in self._rows.items() if len(cells) > 1]
        if keys:
            self.highlighted = self.get_option_index(here if here and here in keys else keys[0])

    def go_to(self, key: str) -> None:
        """Put the cursor on a row."""
        self.highlighted = self.get_option_index(key)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        if self.highlighted is None or self.highlighted >= self.option_count:
            return None
        return self.get_option_at_index(self.highlighted).id


def _line(cells: Sequence[Content], widths: Sequence[int]) -> Content:
    padded = [cell.pad_right(width - cell.cell_length) for cell, width in zip(cells, widths, strict=True)]
    return Content(GAP).join([*padded[:-1], *cells[-1:]])
