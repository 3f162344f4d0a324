"""Writing files: whoever reads one sees the old text or a new one, whoever writes it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phichat.paths import write_atomic


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
