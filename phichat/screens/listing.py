"""A list with columns: a head, and rows to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

GAP = "  "


class Listing(OptionList):
    """Rows in columns, of which one is under the cursor; Enter chooses it."""

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def show(self, head: Sequence[str], rows: Mapping[str, Sequence[Content]]) -> None:
        """Show these rows by their keys; the cursor stays on the row that it is on."""
        here = self.selected
        titles = [Content(title) for title in head]
        columns = zip(titles, *rows.values(), strict=True)
        widths = [max(cell.cell_length for cell in column) for column in columns]
        self.clear_options()
        self.add_option(Option(_line(titles, widths), disabled=True))
        self.add_options(Option(_line(cells, widths), id=key) for key, cells in rows.items())
        if rows:
            self.highlighted = 1 + (list(rows).index(here) if here in rows else 0)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        if self.highlighted is None or self.highlighted >= self.option_count:
            return None
        return self.get_option_at_index(self.highlighted).id


def _line(cells: Sequence[Content], widths: Sequence[int]) -> Content:
    padded = [cell.pad_right(width - cell.cell_length) for cell, width in zip(cells, widths, strict=True)]
    return Content(GAP).join(padded)
