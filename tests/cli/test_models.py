"""`phichat models` and `phichat backends`: what is there to choose from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from phichat import models
from tests.cli.conftest import Run
from tests.plugins.install import write_metadata


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of weights of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PHICHAT_CACHE", str(folder))
    return folder


def test_the_catalogue_is_listed(phichat: Run, cache: Path) -> None:
    done = phichat("models")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line.split() for line in done.out.splitlines()[1:]}
    assert set(rows) == set(models.catalogue())
    assert rows["smollm2"][1:8] == ["135", "M", "8,192", "Apache-2.0", "93", "MB", "no"]
    assert phichat("models", "list") == done


def test_a_folder_is_where_it_is(phichat: Run, project: Path) -> None:
    done = phichat("models", "pull", "./model")
    assert (done.code, done.out) == (0, f"{project / 'model'}\n")


def test_an_unknown_model_is_wrong_usage(phichat: Run, cache: Path) -> None:
    for action in ("pull", "remove"):
        done = phichat("models", action, "smolm2")
        assert done.code == 2
        assert "Did you mean smollm2?" in done.err


def test_what_is_not_here_need_not_be_removed(phichat: Run, cache: Path) -> None:
    done = phichat("models", "remove", "smollm2", "--yes")
    assert (done.code, done.err) == (0, "smollm2 is not on this machine.\n")


def test_removing_asks_first(phichat: Run, smollm2: Path, cache: Path) -> None:
    shutil.copytree(smollm2, cache / "models" / smollm2.name, copy_function=_link)
    assert phichat("models").out.splitlines()[1].split()[7:9] == ["542", "MB"]
    refused = phichat("models", "remove", "smollm2")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert phichat("models", "remove", "smollm2", typed="n\n").code == 1
    assert models.installed(cache)
    assert phichat("models", "remove", "smollm2", typed="y\n").code == 0
    assert not models.installed(cache)


def _link(source: str, target: str) -> str:
    Path(target).symlink_to(source)
    return target


def test_backends_are_listed_the_broken_ones_with_the_reason(phichat: Run, parrot: Path) -> None:
    write_metadata(parrot, "phichat-dodo", {"dodo": "phichat_dodo"}, version="0.1")
    done = phichat("backends")
    assert done.code == 0
    rows = {line.split()[0]: line for line in done.out.splitlines()[1:]}
    assert list(rows) == ["azureml", "dodo", "local", "parrot"]
    assert rows["parrot"].split(maxsplit=3)[1:] == ["phichat-parrot", "1.2", "A parrot"]
    assert "ModuleNotFoundError" in rows["dodo"]
