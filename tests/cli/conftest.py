"""Fixtures of the command line's tests: a project, a backend installed as plugins are, and ways to run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keyring
import pytest

from phichat.cli import main
from phichat.config import secret
from tests.config.keyrings import MemoryKeyring
from tests.conftest import ROOT
from tests.plugins.install import write_metadata


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


class Typed(io.StringIO):
    """Standard input with a person at it, who types this."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def safe(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    """A keyring in memory in place of the developer's own; none at all for other processes."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    monkeypatch.setattr(secret, "_revealed", set())
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The backend `parrot`, installed as any plugin is; returns the folder that it is installed in."""
    site = tmp_path / "site"
    write_metadata(site, "phichat-parrot", {"parrot": "tests.cli.parrot"}, version="1.2")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    return site


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def project(folder: Path, parrot: Path) -> Path:
    """A project on the backend `parrot`, whose base model is a folder: nothing is ever downloaded."""
    model = folder / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (model / name).write_text("{}", encoding="utf-8")
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # a header without tensors
    text = 'backend = "parrot"\nbase_model = "./model"\n[deploy]\nendpoint = "polly"\n'
    (folder / "phichat.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def phichat(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Run:
    """Runs a command line in this process: `phichat("chat", "-p", "Hello", stdin="…")`."""

    def run(*argv: str, stdin: str = "", typed: str | None = None) -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if typed is None else Typed(typed))
        if typed is not None:
            monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        code = main(argv)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def school(project: Path, parrot: Path, phichat: Run) -> Path:
    """A project on the backend `pupil`, with conversations that are prepared to be learned."""
    write_metadata(parrot, "phichat-pupil", {"pupil": "tests.cli.pupil"})
    config = (project / "phichat.toml").read_text(encoding="utf-8").replace("parrot", "pupil", 1)
    (project / "phichat.toml").write_text(config, encoding="utf-8")
    turns = [[("user", f"What is {n}?"), ("assistant", f"It is {n}.")] for n in range(10)]
    rows = [{"messages": [{"role": role, "content": text} for role, text in row]} for row in turns]
    (project / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert phichat("data", "rows.jsonl", "--no-tokens").code == 0
    return project


@pytest.fixture
def process(folder: Path) -> Run:
    """Runs a command line in a process of its own."""

    def run(*argv: str, stdin: str | bytes = "", timeout: float = 200) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "phichat", *argv],
            cwd=folder,
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
