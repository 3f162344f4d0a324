"""Writing files: whoever reads one sees the old text or a new one, and every line by itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phichat.paths import append_line, lines_of, write_atomic


def test_two_threads_that_write_one_file_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    monkeypatch.setattr("os.fsync", lambda descriptor: both.wait(30))
    with ThreadPoolExecutor(2) as threads:
        for written in [threads.submit(write_atomic, tmp_path / "file", text) for text in ("one", "two")]:
            written.result()
    assert (tmp_path / "file").read_text(encoding="utf-8") in ("one", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_line_is_added_on_a_line_of_its_own_whatever_was_cut_off_before_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    assert lines_of(path) == []
    append_line(path, '"one\u2028still one"')
    with path.open("ab") as file:
        file.write(b'{"cut o\xff')
    append_line(path, "two")
    append_line(path, "three")
    assert lines_of(path) == ['"one\u2028still one"', '{"cut o\ufffd', "two", "three"]
    path.write_bytes(b"by hand\r\non Windows\r\n")
    append_line(path, "ours")
    assert lines_of(path) == ["by hand", "on Windows", "ours"]
