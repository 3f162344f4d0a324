"""The screen Data by keyboard alone: prepare, look at rows, find them, mend what was found, go on."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Input

from phichat.data import DataOptions
from phichat.data.tokens import Histogram
from phichat.screens.data.form import DataForm
from phichat.screens.data.report import picture as histogram_picture
from phichat.screens.data.table import LineTable
from phichat.screens.data.view import DataView
from phichat.workflow.preparing import Chosen, chosen, command, folder
from tests.screens.driving import picture, until, write
from tests.screens.scripted import Script
from tests.screens.states_data import (
    data_empty,
    data_failed,
    data_prepared,
    data_preparing,
    data_refused,
    data_row,
    fill,
    opened,
    project_of,
    screen,
    view,
)


def table(pilot: Pilot[None], name: str = "rows") -> LineTable:
    """A table of the prepared data."""
    return view(pilot).query_one(f"#{name}", LineTable)


def showing(pilot: Pilot[None]) -> str:
    """Which rows the table has."""
    return str(view(pilot).query_one("#showing").render())


def one(pilot: Pilot[None]) -> str:
    """The row that is shown."""
    return str(view(pilot).query_one("#one").render())


async def mended(pilot: Pilot[None], key: str) -> None:
    """Press a key that prepares the data again, and wait for the outcome."""
    before, project = view(pilot), project_of(pilot)
    assert project.root is not None
    with contextlib.chdir(project.root):
        await pilot.press(key)
        await until(pilot, lambda: bool(screen(pilot).query(DataView)) and view(pilot) is not before)
        await opened(pilot)


async def test_the_demo_takes_one_key_and_leads_to_training(pilot: Pilot[None], script: Script) -> None:
    await data_empty(pilot, script)
    await pilot.press("d")
    await opened(pilot)
    assert "51 to train on, 9 held out" in picture(pilot)
    await until(pilot, lambda: "Data ✓" in picture(pilot))
    assert not screen(pilot).session.activities
    assert json.loads((folder(project_of(pilot)) / "current.json").read_text())
    await pilot.press("t")
    assert pilot.app.current_mode == "train"
    await pilot.press("alt+2")
    assert screen(pilot).query(DataView)


async def test_what_is_prepared_is_there_again(pilot: Pilot[None], script: Script) -> None:
    await data_prepared(pilot, script)
    found = chosen(project_of(pilot))
    assert Path(found.source).is_absolute()
    assert found.options.model is None
    screen(pilot)._load(project_of(pilot))
    await opened(pilot)
    assert len(table(pilot)._line(0)) > 0


async def test_a_row_is_shown_as_the_model_sees_it(pilot: Pilot[None], script: Script) -> None:
    await data_row(pilot, script)
    shown = one(pilot).splitlines()
    assert "▌ Ask ann@corp.io.<|im_end|>" in shown
    assert "  Whom do I ask?<|im_end|>" in shown
    assert "personal data" in shown[0]


async def test_search_filter_and_jump(pilot: Pilot[None], script: Script) -> None:
    await data_prepared(pilot, script)
    await pilot.press("slash")
    await write(pilot, "TOWER39")
    await pilot.press("enter")
    await until(pilot, lambda: showing(pilot) == "1 row with 'TOWER39'")
    await until(pilot, lambda: "row 40 " in one(pilot))
    await pilot.press("escape", "f", "f")
    assert showing(pilot).endswith("eval rows")
    assert table(pilot).count == len(view(pilot)._numbers) < 46
    await pilot.press("g")
    await write(pilot, "42")
    await pilot.press("enter")
    await until(pilot, lambda: "row 42 " in one(pilot))
    assert table(pilot).has_focus
    for none in ("900", "²", "-1", "9" * 5000):
        await pilot.press("g")
        await write(pilot, none)
        await pilot.press("enter")
        assert "row 42 " in one(pilot)


async def test_only_lines_in_sight_are_read() -> None:
    asked: list[int] = []

    def line(number: int) -> Content:
        asked.append(number)
        return Content(f"line {number}")

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield LineTable("rows")

    async with Alone().run_test() as pilot:
        pilot.app.query_one(LineTable).show(200_000, line)
        await pilot.press("tab", "end")
        await until(pilot, lambda: "line 199999" in picture(pilot))
        assert len(asked) < 100


async def test_what_was_found_is_mended_with_a_key(pilot: Pilot[None], script: Script) -> None:
    await data_prepared(pilot, script)
    assert view(pilot).found == {"duplicates", "personal"}
    await mended(pilot, "d")
    assert "1 removed row" in picture(pilot)
    assert view(pilot).found == {"personal"}


async def test_bad_rows_are_listed_shown_and_left_out(pilot: Pilot[None], script: Script) -> None:
    await data_refused(pilot, script)
    assert table(pilot, "problems").count == 3
    await pilot.press("down", "enter")
    await until(pilot, lambda: "row 22 " in one(pilot))
    assert "✗ rows.jsonl, line 22: the row has no 'messages'" in one(pilot)
    assert '"question": "Which format?"' in one(pilot)
    await pilot.press("escape")
    assert table(pilot, "problems").has_focus
    await mended(pilot, "s")
    assert "3 bad rows" in picture(pilot)
    await pilot.press("p", "enter")
    await until(pilot, lambda: "row 21 " in one(pilot))


async def test_an_error_says_what_to_do_and_a_key_tries_again(pilot: Pilot[None], script: Script) -> None:
    await data_failed(pilot, script)
    await pilot.press("e")
    await until(pilot, lambda: bool(screen(pilot).query(DataForm)))
    assert screen(pilot).query_one(DataForm).query(Input).first().value == "nowhere.jsonl"
    await pilot.press("escape")
    await until(pilot, lambda: "What is the model to learn?" in picture(pilot))


async def test_cancelling_leaves_nothing_behind(pilot: Pilot[None], script: Script) -> None:
    await data_preparing(pilot, script)
    await pilot.press("escape")
    await until(pilot, lambda: "What is the model to learn?" in picture(pilot))
    assert screen(pilot).bar.activity == ""


async def test_the_form_says_what_is_wrong_and_starts_nothing(pilot: Pilot[None], script: Script) -> None:
    await data_empty(pilot, script)
    await fill(pilot, "rows.jsonl")
    form = screen(pilot).query_one(DataForm)
    for name, text, told in (
        ("test_size", "abc", "✗ Held out: it must be a number, not 'abc'."),
        ("test_size", "2", "✗ Held out: it must be less than 1, not 2."),
        ("max_length", "7.5", "✗ Max length: it must be a whole number, not 7.5."),
        ("columns", "abc", "✗ Map: a role must be 'system', 'user' or 'assistant', not 'abc'."),
    ):
        before = str(form._fields[name].value)
        form.fill(name, text)
        await pilot.press("ctrl+s")
        assert told in picture(pilot)
        form.fill(name, before)
    form.fill("test_size", "0.5")
    form.fill("columns", "user=q,assistant=a")
    await pilot.pause()
    assert "$ phichat data rows.jsonl --map user=q,assistant=a --test-size 0.5" in picture(pilot)
    wanted, _ = form.chosen()
    assert wanted is not None
    assert wanted.options.columns == {"user": "q", "assistant": "a"}
    await pilot.press("enter")
    await until(pilot, lambda: not form.is_attached)
    await until(pilot, lambda: "There is no file or folder 'rows.jsonl'" in picture(pilot))


async def test_the_picker_finds_a_file(pilot: Pilot[None], script: Script, tmp_path: Path) -> None:
    await data_empty(pilot, script)
    (tmp_path / "a.jsonl").touch()
    with contextlib.chdir(tmp_path):
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "Choose a file" in picture(pilot) and "a.jsonl" in picture(pilot))
    field = pilot.app.screen.query_one(Input)
    field.value = "a.jsonl"
    field.focus()
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.screen is screen(pilot) and bool(screen(pilot).query(DataForm)))
    wanted, _ = screen(pilot).query_one(DataForm).chosen()
    assert wanted is not None
    assert wanted.source == str(tmp_path / "a.jsonl")


def test_the_command_has_what_is_not_usual() -> None:
    usual = Chosen(options=DataOptions(seed=3))
    options = DataOptions(seed=3, split="train[:1%]", skip_bad=True, near_duplicates="remove", max_length=512)
    told = command(Chosen(source="a b.jsonl", options=options), usual)
    assert told == (
        "phichat data 'a b.jsonl' --skip-bad --near-duplicates remove --split 'train[:1%]' --max-length 512"
    )


@pytest.mark.parametrize(("cut", "lost"), [(20, 2), (None, 0), (400, 0)])
def test_the_histogram_has_a_line_where_rows_are_cut_off(cut: int | None, lost: int) -> None:
    tokens = Histogram(width=10, bars=(1, 8, 4, 2), total=200, median=15, p95=30, longest=39)
    lines = [line.plain for line in histogram_picture(tokens, cut)]
    assert lines[1].count("█") == 2
    assert ("│" in lines[1]) == bool(lost)
    assert lines[-1].startswith({20: "│ training cuts off", None: "0", 400: "Every row fits"}[cut])
