"""A broken plugin costs one line in the list of backends, and changes nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phichat.backends.base import Check
from phichat.backends.registry import Registry
from phichat.errors import ConfigError, PluginError
from phichat.workflow import Project, project
from tests.conftest import ROOT
from tests.plugins.broken import hanging
from tests.plugins.install import EXAMPLE, write_example_metadata, write_metadata

BROKEN = {
    "crash": "ModuleNotFoundError: No module named 'a_package_that_nobody_has'",
    "leave": "SystemExit: This is not a module",
    "raising": "RuntimeError: no licence",
    "hookless": "has no function phichat_backend()",
    "nothing": "has no function phichat_backend()",
    "instance": "gave an object of Chatty, not a subclass of Backend",
    "methodless": "Methodless does not implement cancel, chat, check",
    "unset": "settings_type of Unset is not a subclass of Settings",
    "unsound": "Unable to generate pydantic-core schema for <class 'socket.socket'>",
    "absent": "No module named 'tests.plugins.broken.absent'",
    "twin": "more than one package: phichat-twin 1.0 and phichat-twin-again 1.0",
}
"""What the list says about each of them."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All broken plugins, each installed as a package of its own, and the example among them."""
    folder = tmp_path_factory.mktemp("broken")
    for name in (*BROKEN, "hanging"):
        write_metadata(folder, f"phichat-{name}", {name: f"tests.plugins.broken.{name}"})
    write_metadata(folder, "phichat-twin-again", {"twin": "tests.plugins.broken.twin"})
    write_example_metadata(folder)
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(site))
    yield
    hanging.RELEASED.set()
    hanging.RELEASED.clear()


@pytest.mark.usefixtures("installed")
def test_each_is_one_line_with_the_reason() -> None:
    told = {each.name: each for each in Registry().describe()}
    for name, reason in BROKEN.items():
        assert reason in told[name].error
        assert "\n" not in told[name].error
        assert f"phichat-{name} 1.0" in told[name].package


@pytest.mark.usefixtures("installed")
def test_the_others_are_listed_and_load(tmp_path: Path) -> None:
    registry = Registry()
    titles = {each.name: each.title for each in registry.describe() if not each.error}
    assert titles["markov"] == "Markov chain"
    assert titles["local"] == "This machine"
    assert registry.open("markov", {}, tmp_path).workdir == tmp_path


@pytest.mark.usefixtures("installed")
def test_listing_names_imports_none_of_them() -> None:
    assert set(BROKEN) | {"hanging", "markov", "local"} <= set(Registry().names())
    assert "tests.plugins.broken.crash" not in sys.modules


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", BROKEN)
def test_asking_for_one_names_its_package(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        Registry().open(name, {}, tmp_path)
    assert f"phichat-{name}" in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.hint
    assert "\n" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.usefixtures("installed")
def test_a_wrong_name_has_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        Registry().load("markow")
    assert caught.value.hint == "Did you mean 'markov'?"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["crash", "instance", "twin", "hanging"])
async def test_a_project_on_one_has_a_failed_check(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "CHECK_SECONDS", 0.2)
    (tmp_path / "phichat.toml").write_text(f'backend = "{name}"\n')
    async with Project.open(tmp_path) as opened:
        [check] = await opened.check()
    assert_one_line(check, f"phichat-{name}")


def assert_one_line(check: Check, package: str) -> None:
    assert not check.ok
    assert check.fix
    assert package in f"{check.detail} {check.fix}"
    assert "\n" not in f"{check.detail}{check.fix}"


def test_the_command_lists_them_all(site: Path) -> None:
    path = os.pathsep.join(str(folder) for folder in (site, EXAMPLE, ROOT))
    done = subprocess.run(
        [sys.executable, "-m", "phichat", "backends"],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    for name, reason in BROKEN.items():
        assert reason in lines[name]
    assert "Markov chain" in lines["markov"]
    assert "This machine" in lines["local"]
    assert len(lines) == len(done.stdout.splitlines())
    assert "Traceback" not in done.stderr
