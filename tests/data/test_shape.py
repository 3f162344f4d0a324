"""Lines that look like the first ones are read in one pass, with the same result as by a closer look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phichat.data.options import ModelFiles
from phichat.data.reading import SNIFFED
from phichat.data.shape import Shape
from tests.data.conftest import Work, chat, tower, write

MODEL = ModelFiles(name="phi", special_tokens=("<|end|>", 'q"x'))
USUAL = [{"id": str(number), **tower(number)} for number in range(SNIFFED + 5)]
ODD: tuple[Any, ...] = (
    {**tower(900), "id": None},
    {**tower(901), "topic": "towers"},
    {**tower(902), "messages": [{"role": "human", "content": "Height?"}, {"role": "gpt", "content": "Two."}]},
    {**tower(903), "tools": [{"name": "measure"}]},
    {"id": "x", "messages": []},
    {"id": "x", "messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "Five."}]},
    chat("What does <|end|> mean?", "The end."),
    chat("What does <|user|> mean?", "A user's turn."),
    chat('And q"x?', "A token with a quotation mark."),
    {
        **chat("Weighed?", "Yes."),
        "messages": [*chat("Weighed?")["messages"], {"role": "assistant", "content": "Yes.", "weight": 0}],
    },
    {"question": "no messages"},
    [1, 2],
    None,
)


def test_the_outcome_is_that_of_a_closer_look(prepared: Work, tmp_path: Path) -> None:
    array = tmp_path / "rows.json"
    array.write_text(json.dumps([*USUAL, *ODD]))  # an array has no lines: every row is looked at
    closely = prepared(array, model=MODEL)
    quickly = prepared(write(tmp_path / "rows.jsonl", [*USUAL, *ODD]), model=MODEL)
    for side in ("train", "eval"):
        assert quickly.rows(side) == closely.rows(side)
    assert [each.row for each in quickly.problems] == [each.row for each in closely.problems]
    assert [each.message for each in quickly.problems] == [each.message for each in closely.problems]
    assert quickly.manifest.ignored == closely.manifest.ignored == {"id": SNIFFED + 5, "topic": 1}


def test_every_odd_line_is_found_out(prepared: Work, tmp_path: Path) -> None:
    kinds = [each.kind for each in prepared([*USUAL, *ODD], model=MODEL).problems]
    assert kinds == [
        "tools", "empty", "empty", "special_token", "special_token", "no_answer", "format", "json", "json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            b'{"id": "1", "messages": [{"role": "user", "content": "caf\xe9"}]}',
            "the text is not UTF-8 at byte",
        ),
        (b'{"id": "1", "messages": [{"role": "user"', "the line is not JSON: it ends too early."),
        (b"{" * 20_000, "the line is not JSON"),
    ],
)
def test_a_line_that_cannot_be_read_is_told(prepared: Work, tmp_path: Path, line: bytes, told: str) -> None:
    path = write(tmp_path / "rows.jsonl", USUAL)
    path.write_bytes(path.read_bytes() + b"\n  \n" + line + b"\n")
    (problem,) = prepared(path, model=MODEL).problems
    assert problem.line == len(USUAL) + 3
    assert told in problem.message


def test_rows_with_tools_have_no_shape() -> None:
    assert Shape.of([{"messages": [], "tools": []}]) is None
