"""Rows one at a time, as a screen shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from phichat.data import DataOptions, Prepared, prepare
from phichat.data.rows import Problems, Rows, problems
from tests.data.conftest import chat, tower, write


async def made(tmp_path: Path, rows: Sequence[Any], **chosen: object) -> Prepared:
    """The rows, prepared; bad ones are left out."""
    options = DataOptions.model_validate({"skip_bad": True, **chosen})
    return await prepare(
        str(write(tmp_path / "rows.jsonl", rows)), options, tmp_path / "data", lambda _: None
    )


async def test_every_row_of_the_source_is_there_in_its_order(tmp_path: Path) -> None:
    source: list[Any] = [
        tower(0),
        chat("a", ""),
        tower(1),
        "oops{",
        tower(0),
        tower(2),
        *map(tower, range(10, 30)),
    ]
    prepared = await made(tmp_path, source, duplicates="remove")
    rows = Rows(prepared)
    assert len(rows) == 26
    assert [row.line for row in rows] == list(range(1, 27))
    assert [rows[number].side for number in (1, 3, 4)] == ["bad", "bad", "removed"]
    assert {row.side for row in rows} == {"train", "eval", "bad", "removed"}
    for number, row in enumerate(rows):
        assert row.number == number
        assert rows.side(number) == row.side
        if row.side != "bad":
            assert [turn.content for turn in row.turns] == [
                message["content"] for message in source[number]["messages"]
            ]
    assert rows[4].noted == ("duplicate",)
    assert rows[0].noted == ()
    rows.close()


async def test_from_a_problem_to_its_row(tmp_path: Path) -> None:
    prepared = await made(tmp_path, [tower(0), chat("a", ""), tower(1), "oops{", tower(2)])
    rows = Rows(prepared)
    found = [rows[problem.row] for problem in problems(prepared.problems_file)]
    assert [(row.line, row.side, row.turns) for row in found] == [(2, "bad", ()), (4, "bad", ())]
    assert '"content": "a"' in found[0].raw
    assert found[1].raw == "oops{"
    rows.close()


async def test_a_dataset_without_problems_has_none(tmp_path: Path) -> None:
    prepared = await made(tmp_path, [tower(0), tower(1)])
    assert list(problems(prepared.problems_file)) == []


async def test_there_is_no_row_behind_the_last(tmp_path: Path) -> None:
    rows = Rows(await made(tmp_path, [tower(0), tower(1)]))
    for number in (2, -1):
        with pytest.raises(IndexError):
            rows[number]
    rows.close()


async def test_any_of_many_rows_is_there_at_once(tmp_path: Path) -> None:
    rows = Rows(await made(tmp_path, [tower(number) for number in range(5000)], near_duplicates="off"))
    for number in (4999, 0, 2500, 1, 4998):
        assert f"tower{number} " in rows[number].turns[0].content
    rows.close()


async def test_half_a_character_where_nobody_looks_is_shown_all_the_same(tmp_path: Path) -> None:
    bad = '{"messages": [], "note": "\\ud83d"}'
    rows = Rows(
        await made(
            tmp_path, [tower(0), tower(1), bad, '{"messages": [{"role": "user", "content": "\\ud83d"}]}']
        )
    )
    assert "\\ud83d" in rows[2].raw
    assert rows[3].side == "bad"
    assert "\\ud83d" in rows[3].raw
    rows.close()


def test_problems_are_the_same_for_every_thread_that_reads_them(tmp_path: Path) -> None:
    file, count = tmp_path / "problems.jsonl", 900
    fault = {
        "file": "rows.jsonl",
        "line": 1,
        "unit": "line",
        "kind": "empty",
        "field": "",
        "message": "x" * 99,
    }
    file.write_text("".join(f"{json.dumps({'row': row, **fault})}\n" for row in range(count)))
    found, together = Problems(file), Barrier(2)

    def every(step: int) -> list[int]:
        together.wait()
        return [found[at].row for _ in range(30) for at in range(count)[::step]]

    with ThreadPoolExecutor(2) as threads:
        forward, back = threads.map(every, (1, -1))
    found.close()
    assert forward == back[::-1] == [*range(count)] * 30


def test_no_problems_are_an_empty_sequence(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").touch()
    found = Problems(tmp_path / "problems.jsonl")
    assert (len(found), list(found.of(0))) == (0, [])
    found.close()
