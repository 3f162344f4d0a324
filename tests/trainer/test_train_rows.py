"""The rows: every fault of a file is one sentence with its line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conversations import fingerprint, read
from failures import TrainError

GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_rows_come_in_their_order_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD, "", GOOD)
    assert [row.line for row in read(path)] == [1, 3]
    assert next(iter(read(path))).messages == tuple(GOOD["messages"])


def test_a_weight_says_what_is_learned(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d", "weight": 1},
        {"role": "user", "content": "e"},
        {"role": "assistant", "content": "f"},
    ]
    (row,) = read(write(tmp_path / "rows.jsonl", {"messages": turns, "id": "x"}))
    assert row.learned == (False, True, True)
    assert all(set(message) == {"role", "content"} for message in row.messages)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert len(list(read(path))) == 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("{", "not JSON"),
        ({"text": "x"}, '"messages" must be a list of messages'),
        ({"messages": []}, '"messages" must be a list of messages'),
        ([], '"messages" must be a list of messages'),
        ({"messages": ["x"]}, r'"messages\[0\]" must be an object'),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            r'"messages\[0\].role" must be one of system, user',
        ),
        ({"messages": [{"role": "user", "content": None}]}, r'"messages\[0\].content" must be a text'),
        ({"messages": [{"role": "assistant", "content": " "}]}, r'"messages\[0\].content" is empty'),
        (
            {"messages": [{"role": "assistant", "content": "x", "weight": 2}]},
            r'"messages\[0\].weight" must be',
        ),
        ({"messages": [{"role": "user", "content": "x"}]}, '"messages" has no turn of the assistant'),
        (
            {"messages": [{"role": "assistant", "content": "x", "weight": 0}]},
            '"messages" has no turn of the assistant',
        ),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(tmp_path: Path, row: Any, sentence: str) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD, row)
    with pytest.raises(TrainError, match=f"^rows.jsonl, line 2: {sentence}"):
        list(read(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for problem in (read, fingerprint):
        with pytest.raises(TrainError, match=r"nowhere\.jsonl cannot be read: No such file"):
            list(problem(tmp_path / "nowhere.jsonl"))
    with pytest.raises(TrainError, match="holds no conversations"):
        list(read(write(tmp_path / "empty.jsonl", "")))
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b"\xff\xfe{")
    with pytest.raises(TrainError, match="is not UTF-8 text"):
        list(read(broken))
