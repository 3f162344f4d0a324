"""Files as rows: damaged, huge and odd ones."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phichat.data import arrays, readers
from phichat.data.limits import CHUNK
from phichat.data.problems import Fault
from phichat.data.readers import open_rows
from phichat.errors import DataError


def rows(path: Path | None) -> list[tuple[int, Any]]:
    """Everything in a file, with the fields that are still JSON read."""
    with open_rows(path, "rows") as opened:
        found = list(opened.rows)
    return [
        (line, value if isinstance(value, Fault) else msgspec.json.decode(msgspec.json.encode(value)))
        for line, value in found
    ]


def written(folder: Path, content: bytes | str, name: str = "rows") -> Path:
    """A file of that content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("chunk", [4, 5, 7, 64, 1 << 20])
def test_an_array_is_read_in_pieces_of_any_size(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "CHUNK", chunk)
    values = [{"a": 'é]"},[{'}, [], {"b": {"c": [1, 2.5, None, True]}}, "text", 12]
    for text in (json.dumps(values), json.dumps(values, indent=2), f" \r\n{json.dumps(values)} \n"):
        assert rows(written(tmp_path, text)) == list(enumerate(values, 1))


def test_a_number_that_is_cut_in_two_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK", 4)
    assert rows(written(tmp_path, "[1234567, 12, 123456789012]")) == [
        (1, 1234567),
        (2, 12),
        (3, 123456789012),
    ]


def test_an_empty_array(tmp_path: Path) -> None:
    assert rows(written(tmp_path, "[ \n ]")) == []


@pytest.mark.parametrize(
    ("text", "good", "told"),
    [
        ('[{"a": 1}, {"a": 2}', 2, "',' is missing"),
        ('[{"a": 1} {"a": 2}]', 1, "',' is missing"),
        ('[{"a": 1}, {"a": ]', 1, "the rest cannot be read"),
        ('[{"a": 1}, ', 1, "the rest cannot be read"),
        ("[" * 5000, 0, "the rest cannot be read"),
    ],
)
def test_a_damaged_array_gives_what_came_before(tmp_path: Path, text: str, good: int, told: str) -> None:
    found = rows(written(tmp_path, text))
    assert [value for _, value in found[:good]] == [{"a": number + 1} for number in range(good)]
    number, fault = found[good]
    assert number == good + 1
    assert isinstance(fault, Fault)
    assert told in fault.message
    assert len(found) == good + 1


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "ROW_LIMIT", 100)
    monkeypatch.setattr(readers, "CHUNK", 64)
    found = rows(written(tmp_path, '{"a": 1}\n{"b": "' + "x" * 500 + '"}\n{"a": 2}\n'))
    assert found[0] == (1, {"a": 1})
    assert isinstance(found[1][1], Fault)
    assert "longer than" in found[1][1].message
    assert found[2] == (3, {"a": 2})


@pytest.mark.parametrize("text", ['{"a": 1}{\n"a": 2\n}\n\n{"a":\n3}', '{\n "a": 1}\n{"a": 2} {"a": 3}'])
def test_objects_may_go_over_lines(tmp_path: Path, text: str) -> None:
    assert rows(written(tmp_path, text)) == [(number, {"a": number}) for number in (1, 2, 3)]


def test_a_damaged_object_over_lines_gives_what_came_before(tmp_path: Path) -> None:
    found = rows(written(tmp_path, '{\n"a": 1}\n{"a": \n}\n{"a": 3}'))
    assert found[0] == (1, {"a": 1})
    assert "the object goes wrong here" in found[1][1].message
    assert len(found) == 2


@pytest.mark.parametrize("line", ['"abc": 1', "1 2", '{"a": 1} 2'])
def test_more_than_one_value_in_a_line_is_an_error(tmp_path: Path, line: str) -> None:
    found = rows(written(tmp_path, f'{{"a": 1}}\n{line}\n{{"a": 3}}\n'))
    assert "trailing characters" in found[1][1].message
    assert found[2] == (3, {"a": 3})


def test_blank_lines_before_a_table(tmp_path: Path) -> None:
    assert rows(written(tmp_path, "\n\na,b\n1,2\n")) == [(4, {"a": "1", "b": "2"})]


def test_what_is_not_json_is_kept_as_it_stands(tmp_path: Path) -> None:
    found = rows(written(tmp_path, '{"a": 1}\n{oops}\n'))
    assert found[1][1].text == "{oops}"


def test_blank_lines_count_as_lines(tmp_path: Path) -> None:
    assert rows(written(tmp_path, '{"a": 1}\n\n  \n{"a": 2}')) == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ("{".encode("utf-16"), "UTF-16"),
        (b"hello there\n", "neither JSON nor a table: it begins with 'hello there'"),
        (b"PAR1 and then nothing", "damaged Parquet"),
        (b"\x1a\0\0\x07,\0\n", "is not text"),
        (b"PK\x03\x04,", "an Office document"),
        ("länge,größe\n1,2\n".encode("latin-1"), "is not UTF-8 text"),
        (b'a,"b\n1,2\n', "The first line of rows, which names the columns, goes wrong"),
        (b"a,b,a\n1,2,3\n", "has two columns 'a'"),
    ],
)
def test_what_cannot_be_read_at_all(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        rows(written(tmp_path, content))


def test_a_gzip_that_was_cut_off(tmp_path: Path) -> None:
    import gzip

    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    with pytest.raises(DataError, match="damaged gzip"):
        rows(written(tmp_path, whole[: len(whole) // 2]))


def test_a_table_with_a_quotation_mark_too_many(tmp_path: Path) -> None:
    found = rows(written(tmp_path, 'a,b\n1,2\n"3"x,4\n5,6\n'))
    assert found[0] == (2, {"a": "1", "b": "2"})
    assert isinstance(found[1][1], Fault)
    assert found[1][0] == 3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened: No such file"):
        rows(tmp_path / "missing")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"a": 1}\n{"a": 2}\n')
    os.close(writing)
    with os.fdopen(reading) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert rows(None) == [(1, {"a": 1}), (2, {"a": 2})]


def test_the_position_grows_with_what_was_read(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": 1}\n' * 300_000)
    with open_rows(path, "rows") as opened:
        next(opened.rows)
        first = opened.position()
        list(opened.rows)
        assert 0 < first < opened.position() == path.stat().st_size
    assert io.DEFAULT_BUFFER_SIZE < CHUNK
