"""What the tests of the data share: sources written in a line, and two ways to prepare them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from phichat.data import DataOptions, Manifest
from phichat.data.problems import Problem
from phichat.data.rows import problems
from phichat.data.work import work
from phichat.events import Event

FIXTURES = Path(__file__).with_name("fixtures")


def chat(*texts: str, system: str = "") -> dict[str, Any]:
    """A row of messages: user and assistant by turns."""
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def tower(number: int) -> dict[str, Any]:
    """One of any number of rows that have nothing in common."""
    return chat(
        f"What is the height of tower{number} at gate{number}?",
        f"Tower{number} is {number} feet{number} tall.",
    )


def write(path: Path, rows: Iterable[Any]) -> Path:
    """Rows as JSON lines; a text stands as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


class Done:
    """What preparing a source in this process gave."""

    def __init__(self, folder: Path, manifest: Manifest, events: list[Event]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.events = events

    def rows(self, side: str) -> list[dict[str, Any]]:
        """The rows of `train`, `eval`, `bad` or `removed`."""
        file = self.folder / f"{side}.jsonl"
        return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []

    @property
    def good(self) -> list[list[tuple[str, str]]]:
        """The conversations of both sides as (role, text), sorted."""
        rows = self.rows("train") + self.rows("eval")
        return sorted([(turn["role"], turn["content"]) for turn in row["messages"]] for row in rows)

    @property
    def problems(self) -> list[Problem]:
        """Every fault, in order."""
        return list(problems(self.folder / "problems.jsonl"))

    @property
    def told(self) -> list[str]:
        """Every fault as people read it."""
        return [str(problem) for problem in self.problems]


Work = Callable[..., Done]


@pytest.fixture
def prepared(tmp_path: Path) -> Work:
    """Prepares a source, or rows, in this process: `prepared(rows, seed=1)`. Bad rows are left out."""
    count = 0

    def run(source: str | Path | Iterable[Any], **chosen: Any) -> Done:
        nonlocal count
        count += 1
        if not isinstance(source, str | Path):
            source = write(tmp_path / f"rows{count}.jsonl", source)
        folder = tmp_path / f"prepared{count}"
        folder.mkdir()
        events: list[Event] = []
        options: Mapping[str, Any] = {"skip_bad": True, **chosen}
        manifest = work(str(source), DataOptions.model_validate(options), folder, events.append)
        return Done(folder, manifest, events)

    return run
