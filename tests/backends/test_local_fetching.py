"""What a job of this machine has made, copied into a folder of the person's."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from phichat.backends.base import Job
from phichat.backends.local import LocalBackend, LocalSettings
from phichat.errors import BackendError
from phichat.testing.harness import ignore


def finished(backend: LocalBackend, name: str, files: dict[str, str]) -> Job:
    """A job that has made a model of these files."""
    place = backend.workdir / "jobs" / name
    model = place / "output" / "model"
    model.mkdir(parents=True)
    (place / "job.json").write_text('{"argv": []}', encoding="utf-8")
    for file, text in files.items():
        (model / file).write_text(text, encoding="utf-8")
    return Job(id=name)


@pytest.mark.parametrize("left", [".mine.partial", ".mine.one.partial", ".mine.two.partial"])
async def test_what_an_interrupted_fetch_has_left_gets_into_no_model(tmp_path: Path, left: str) -> None:
    backend = LocalBackend(LocalSettings(), tmp_path / "local")
    job = finished(backend, "one", {"phichat.json": "{}", "model.safetensors": "one"})
    leftover = tmp_path / left
    leftover.mkdir()
    (leftover / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    fetched = await backend.fetch(job, tmp_path / "mine", ignore)
    assert {file.name: file.read_text("utf-8") for file in fetched.iterdir()} == {
        "phichat.json": "{}",
        "model.safetensors": "one",
    }


async def test_a_fetch_that_is_cancelled_leaves_what_stood_there_and_nothing_else(tmp_path: Path) -> None:
    backend = LocalBackend(LocalSettings(), tmp_path / "local")
    job = finished(backend, "one", {"phichat.json": "{}"})
    pipe = tmp_path / "local" / "jobs" / "one" / "output" / "model" / "weights"
    os.mkfifo(pipe)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "phichat.json").write_text('{"before": 1}', encoding="utf-8")
    fetching = asyncio.create_task(backend.fetch(job, mine, ignore))
    weights = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)  # waits until the copy has come to it
    fetching.cancel()
    await asyncio.sleep(0)
    os.write(weights, b"a piece")
    os.close(weights)
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local", "mine"]
    assert [(file.name, file.read_text("utf-8")) for file in mine.iterdir()] == [
        ("phichat.json", '{"before": 1}')
    ]


async def test_a_fetch_that_fails_says_why(tmp_path: Path) -> None:
    backend = LocalBackend(LocalSettings(), tmp_path / "local")
    job = finished(backend, "one", {"phichat.json": "{}"})
    (tmp_path / "local" / "jobs" / "one" / "output" / "model" / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BackendError, match="No such file or directory"):
        await backend.fetch(job, tmp_path / "mine", ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["local"]
