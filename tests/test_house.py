"""The rules of the house, checked by the tools that know them: style, types, layers, what each loads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LONG, ROOT

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "mlflow",
    "azure",
    "promptflow",
    "textual",
    "rich",
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "tool",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=lambda tool: " ".join(tool),
)
def test_style_and_types(tool: tuple[str, ...]) -> None:
    done = run(*tool)
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_only_go_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imports_of(folder: Path) -> set[str]:
    """The top-level names that the sources of a folder import, inside functions too."""
    found = set()
    for source in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_what_travels_does_not_know_the_package() -> None:
    assert imports_of(ROOT / "trainer")
    assert "phichat" not in imports_of(ROOT / "trainer") | imports_of(ROOT / "flows")


def test_the_package_does_not_import_what_travels() -> None:
    travellers = {"trainer", "flows"}
    for folder in ("trainer", "flows"):
        travellers |= {path.stem for path in (ROOT / folder).rglob("*.py")}
    assert not imports_of(ROOT / "phichat") & travellers


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sorted(sys.modules))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["flows/chat", "flows/evaluate"])},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import phichat", (*HEAVY, "pydantic", "httpx", "pluggy")),
        ("import phichat.cli", (*HEAVY, "pydantic", "httpx", "pluggy")),
        ("import phichat.history.cosmos, phichat.history.synced", (*HEAVY, "aiohttp", "httpx", "keyring")),
        ("import phichat.workflow", (*HEAVY, "httpx", "keyring")),
        ("import phichat.cli.verbs.flow, phichat.flowrunner.promptflow", (*HEAVY, "httpx", "keyring")),
        ("import deployment, plain, batch, metrics", ("promptflow", "phichat", "pydantic")),
        ("from phichat.backends.registry import Registry; Registry().load('local')", (*HEAVY, "httpx")),
        ("from phichat.backends.registry import Registry; Registry().load('azureml')", (*HEAVY, "httpx")),
        ("import phichat.app", tuple(name for name in HEAVY if name not in ("textual", "rich"))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_entry_point_loads(code: str, forbidden: tuple[str, ...]) -> None:
    assert not loaded_by(code) & set(forbidden)


def test_what_takes_longest_is_begun_first() -> None:
    assert [name for name in LONG if not (ROOT / "tests" / name).is_file()] == []
