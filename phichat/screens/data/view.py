"""Prepared data to look at: every row, one of them as the model sees it, the problems and the report."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from phichat.data import DataOptions, ModelFiles, Prepared
from phichat.data.rows import Problems, Row, Rows
from phichat.data.search import search
from phichat.screens.choice import Choice
from phichat.screens.data.report import report, summary
from phichat.screens.data.row import Lens
from phichat.screens.data.table import LineTable
from phichat.screens.oneline import OneLine
from phichat.screens.panels import ErrorPanel
from phichat.screens.wording import plural
from phichat.workflow.preparing import findings

if TYPE_CHECKING:
    from phichat.errors import PhichatError

Part = Literal["rows", "row", "problems", "report"]
Filter = Literal["all", "train", "eval", "noted", "bad", "removed"]
FILTERS: tuple[Filter, ...] = ("all", "train", "eval", "noted", "bad", "removed")
SIDE_STYLES = {
    "train": "$text-muted",
    "eval": "$text-primary bold",
    "bad": "$text-error",
    "removed": "$text-warning",
}
PREVIEW = 200
"""Characters of a row that its line may show."""


class DataView(Vertical):
    """The table of rows beside the conversation under its cursor; problems and report in their place."""

    HELP = """
## Prepared data

Every row of the source, and what became of it. Enter shows a row as the model will see it; / looks for a
text, g goes to a row by its number, f shows only some rows.
"""
    BINDING_GROUP_TITLE = "Rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask('search')", "Search", tooltip="Rows that have a text.", id="rows.search"),
        Binding(
            "g", "ask('jump')", "Go to row", tooltip="Go to a row by number.", id="rows.jump", show=False
        ),
        Binding("f", "filter", "Filter", tooltip="Show only the rows of one kind.", id="rows.filter"),
        Binding("r", "part('report')", "Report", tooltip="Lengths and all findings.", id="rows.report"),
        Binding("p", "part('problems')", "Problems", tooltip="What is wrong, and where.", id="rows.problems"),
        Binding("escape", "back", "Rows", tooltip="Back to the rows.", id="rows.back"),
    ]

    class Opened(Message):
        """The files are open."""

    class Rendered(Message):
        """A row is ready to be shown."""

        def __init__(self, number: int, content: Content) -> None:
            super().__init__()
            self.number = number
            self.content = content

    class Found(Message):
        """A search has come so far."""

        def __init__(self, text: str, done: int, total: int, numbers: Sequence[int]) -> None:
            super().__init__()
            self.text = text
            self.done = done
            self.total = total
            self.numbers = numbers

    def __init__(
        self,
        prepared: Prepared,
        options: Callable[[], DataOptions],
        problem: PhichatError | None,
        mends: Sequence[str],
    ) -> None:
        super().__init__()
        self._prepared = prepared
        self._options = options
        self._problem = problem
        self._mends = mends
        self.found = set(findings(prepared, refused=problem is not None))
        """The options by which something that was found can be mended."""
        self.part: Part = "rows"
        self._filter: Filter = "bad" if problem else "all"
        self._text = ""
        self._asked = ""
        self._numbers: Sequence[int] = ()
        self._rows: Rows | None = None
        self._reader: Rows | None = None
        self._problems: Problems | None = None
        self._lens: Lens | None = None
        self._lock = Lock()

    def compose(self) -> ComposeResult:
        if self._problem:
            yield ErrorPanel(self._problem, "data.mend.skip_bad")
        else:
            yield Static(summary(self._prepared.manifest), id="summary")
        yield Static(id="showing")
        with Horizontal(id="parts"):
            yield LineTable("rows")
            yield LineTable("problems")
            yield VerticalScroll(Static(id="one"), id="row")
            mends = Horizontal(*(Choice(name) for name in self._mends), id="mends")
            yield VerticalScroll(mends, Static(report(self._prepared.manifest)), id="report")
        yield OneLine(id="asked", compact=True)

    def on_mount(self) -> None:
        self.query_one("#asked").display = False
        self._turn("rows")
        self._open()

    def on_unmount(self) -> None:
        self.workers.cancel_node(self)
        with self._lock:
            for each in (self._rows, self._reader, self._problems):
                if each is not None:
                    each.close()

    # Files

    @work(thread=True, group="open", exit_on_error=False)
    def _open(self) -> None:
        """Open the index of the rows, the problems and the template: all of it away from the keys."""
        model = self._options().model
        self._lens = Lens(model or ModelFiles(name=""))
        self._rows, self._reader = Rows(self._prepared), Rows(self._prepared)
        if self._prepared.problems_file.is_file():
            self._problems = Problems(self._prepared.problems_file)
        self.post_message(self.Opened())

    def on_data_view_opened(self) -> None:
        self._list(self._of_filter())
        if self._problems is not None:
            self.query_one("#problems", LineTable).show(len(self._problems), self._problem_line)
        if self._problem:
            self.action_part("problems")
        else:
            self.query_one("#rows").focus()
        self.refresh_bindings()

    def _of_filter(self) -> Sequence[int]:
        assert self._rows is not None
        return range(len(self._rows)) if self._filter == "all" else self._rows.of(self._filter)

    def _list(self, numbers: Sequence[int], at: int = 0) -> None:
        self._numbers = numbers
        self.query_one("#rows", LineTable).show(len(numbers), self._row_line, at)
        kind = "" if self._filter == "all" else f"{self._filter} "
        having = f" with {self._text!r}" if self._text else ""
        self.query_one("#showing", Static).update(Content(f"{plural(len(numbers), f'{kind}row')}{having}"))
        if not numbers:
            self.query_one("#one", Static).update(Content("No row is like that."))

    def _row_line(self, at: int) -> Content:
        assert self._rows is not None
        row = self._rows[self._numbers[at]]
        side = (f"{row.side:<7} ", SIDE_STYLES[row.side])
        noted = (f"[{', '.join(row.noted)}] ", "$text-warning") if row.noted else ""
        return Content.assemble(f"{row.number + 1:>7,} ", side, noted, _preview(row))

    def _problem_line(self, at: int) -> Content:
        assert self._problems is not None
        return Content(str(self._problems[at]))

    # One row

    def on_line_table_moved(self, event: LineTable.Moved) -> None:
        if event.table.id == "rows" and self._numbers:
            self._render_row(self._numbers[event.table.cursor])

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        if event.table.id == "problems":
            assert self._problems is not None
            self._render_row(self._problems[event.table.cursor].row)
        self.action_part("row")

    @work(thread=True, exclusive=True, group="row", exit_on_error=False)
    def _render_row(self, number: int) -> None:
        """Read a row and render it by the model's template."""
        with self._lock:
            if get_current_worker().is_cancelled or self._reader is None or self._lens is None:
                return
            problems = self._problems.of(number) if self._problems else ()
            content = self._lens.show(self._reader[number], list(problems))
        self.post_message(self.Rendered(number, content))

    def on_data_view_rendered(self, event: Rendered) -> None:
        self.query_one("#one", Static).update(event.content)
        self.query_one("#row").scroll_home(animate=False)

    # Search and jump

    def action_ask(self, what: str) -> None:
        """Ask for a text to look for, or for the number of a row."""
        self._asked = what
        field = self.query_one("#asked", Input)
        field.value = ""
        field.placeholder = "Text to look for; empty: every row" if what == "search" else "Number of a row"
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        self._close_field()
        if self._asked == "jump":
            self._jump(text)
        else:
            self._text = text
            self._search(text, self._of_filter()) if text else self._list(self._of_filter())

    def _close_field(self) -> None:
        self.query_one("#asked").display = False
        self._turn("rows")
        self.query_one("#rows").focus()

    def _jump(self, text: str) -> None:
        try:
            number = int(text.replace(",", ""))
        except ValueError:
            number = 0
        if self._rows is None or not 1 <= number <= len(self._rows):
            last = len(self._rows or ())
            self.app.notify(
                f"There is no row {text!r}: they go from 1 to {last:,}.", severity="warning", markup=False
            )
            return
        wanted = number - 1
        if wanted not in self._numbers:
            self._filter, self._text = "all", ""
            self._list(self._of_filter(), wanted)
        else:
            self.query_one("#rows", LineTable).move(self._numbers.index(wanted))

    @work(thread=True, exclusive=True, group="search", exit_on_error=False)
    def _search(self, text: str, numbers: Sequence[int]) -> None:
        """Read all rows with files of its own, and say what is found."""
        worker, found, done = get_current_worker(), array("Q"), 0
        rows = Rows(self._prepared)
        try:
            for done, more in search(rows, numbers, text):
                if worker.is_cancelled:
                    return
                found.extend(more)
                if not done % 4096:
                    self.post_message(self.Found(text, done, len(numbers), found[:]))
        finally:
            rows.close()
        self.post_message(self.Found(text, len(numbers), len(numbers), found))

    def on_data_view_found(self, event: Found) -> None:
        if event.text != self._text:
            return
        if event.done == event.total:
            self._list(event.numbers)
        else:
            told = f"{len(event.numbers):,} found in {event.done:,} of {event.total:,} rows …"
            self.query_one("#showing", Static).update(Content(told))

    # What the keys do

    def action_filter(self) -> None:
        """Show the next kind of rows of which there are any."""
        if self._rows is None:
            return
        for _ in FILTERS:
            self._filter = FILTERS[(FILTERS.index(self._filter) + 1) % len(FILTERS)]
            numbers = self._of_filter()
            if len(numbers):
                break
        self._text = ""
        self._turn("rows")
        self._list(numbers)
        self.query_one("#rows").focus()

    def action_part(self, part: Part) -> None:
        """Show a part of what there is."""
        self._turn(part)
        self.query_one(f"#{part}").focus()

    def action_back(self) -> None:
        """Back to the rows, or from there to all of them."""
        if self.query_one("#asked").display:
            self._close_field()
        elif self.part == "row" and self._problem:
            self.action_part("problems")
        elif self.part != "rows":
            self.action_part("rows")
        else:
            self.workers.cancel_group(self, "search")
            self._text, self._filter = "", "all"
            self._list(self._of_filter())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if not self.is_mounted:
            return True
        match action:
            case "part":
                missing = parameters == ("problems",) and self._problems is None
                return self.part not in parameters and not missing
            case "back":
                return bool(self.query_one("#asked").display) or self._away
            case "filter":
                return self._problem is None and self.part != "row"
        return True

    @property
    def _away(self) -> bool:
        """Whether there is something to come back from."""
        if self._problem:
            return self.part != "problems"
        return self.part != "rows" or bool(self._text) or self._filter != "all"

    def _turn(self, part: Part) -> None:
        self.remove_class("-rows", "-row", "-problems", "-report")
        self.part = part
        self.add_class(f"-{part}")
        self.refresh_bindings()


def _preview(row: Row) -> str:
    text = next((turn.content for turn in row.turns if turn.role == "user"), row.raw)
    return " ".join(text[:PREVIEW].split())
