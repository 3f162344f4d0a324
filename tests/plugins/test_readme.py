"""What the README tells authors and callers is true: its code is the example's, and it runs."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from phichat.paths import PROJECT_FILE
from phichat.testing.harness import ignore
from phichat.workflow import Project
from tests.conftest import ROOT
from tests.plugins.install import EXAMPLE

README = ROOT / "README.md"
TAUGHT = {"Who are you?": "I am a chain of words.", "What do you want?": "I want to be longer."}


def blocks(heading: str, language: str) -> list[str]:
    """The code of a section of the README, in order."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README.read_text(encoding="utf-8"), re.M | re.S)
    assert section, f"The README has no section {heading!r}."
    found = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.M | re.S)
    assert found, f"The section {heading!r} of the README has no {language}."
    return found


# Write a backend


@pytest.mark.parametrize(
    "name", ["phichat_markov/chain.py", "phichat_markov/__init__.py", "tests/test_markov.py"]
)
def test_the_authors_section_shows_the_whole_example(name: str) -> None:
    """All but the imports and the sentence that opens a file."""
    left = (EXAMPLE / name).read_text(encoding="utf-8")
    for block in blocks("Write a backend", "python"):
        left = left.replace(block.rstrip(), "")
    kinds = {type(node) for node in ast.parse(left).body}
    assert kinds <= {ast.Import, ast.ImportFrom, ast.Expr}, f"The README does not show: {left}"


def test_the_authors_section_shows_nothing_else() -> None:
    files = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.py")]
    for block in blocks("Write a backend", "python"):
        assert any(block.rstrip() in file for file in files), f"The example does not have: {block}"


def test_the_package_of_the_authors_section_is_the_examples() -> None:
    package = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    assert package in blocks("Write a backend", "toml")


def test_the_settings_of_the_authors_section_are_right(tmp_path: Path) -> None:
    [settings] = [text for text in blocks("Write a backend", "toml") if "backend" in tomllib.loads(text)]
    (tmp_path / PROJECT_FILE).write_text(settings, encoding="utf-8")
    assert Project.open(tmp_path).backend.settings.order == 3


# From Python


@pytest.fixture
def project(tmp_path: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a project with a little data, and nothing left running behind it."""
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]}
        for asked, answered in TAUGHT.items()
    ]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (tmp_path / PROJECT_FILE).write_text('backend = "local"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    asyncio.run(stop_everything())


async def stop_everything() -> None:
    async with Project.open(flags={"backend": "local"}) as project:
        for resource in await project.resources():
            await project.remove(resource, ignore)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("project")
def test_the_examples_for_python_run(capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other in one project, as a reader would run them."""
    chat, train, switch = blocks("From Python", "python")
    run(chat)
    answer, counted = capsys.readouterr().out.splitlines()
    assert "Paris" in answer
    assert re.fullmatch(r"\d+ tokens, \d+ a second", counted)

    run(train)
    lines = capsys.readouterr().out.splitlines()
    assert json.loads([line for line in lines if '"kind":"status"' in line][-1])["state"] == "succeeded"
    assert lines[-1].strip() == TAUGHT["Who are you?"]

    run(switch)
    here, chain = capsys.readouterr().out.strip().split("Markov chain: ")
    assert here.startswith("This machine: ")
    assert chain == TAUGHT["Who are you?"]


def run(code: str) -> None:
    """Run an example as a script."""
    exec(compile(code, README.name, "exec"), {"__name__": "__main__"})
