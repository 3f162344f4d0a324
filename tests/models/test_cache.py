"""The cache of models: only what is complete counts, and nothing of the person's own is deleted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from phichat import models
from phichat.errors import ConfigError
from phichat.models import cache as cache_of

REF = models.resolve("org/name")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one complete model."""
    folder = cache_of.model_folder(REF.key, tmp_path)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    files = tuple(
        cache_of.CachedFile(path=path.name, bytes=path.stat().st_size, sha256="") for path in folder.iterdir()
    )
    marker = cache_of.Marker(name=REF.name, key=REF.key, title=REF.title, origin="org/name@1", files=files)
    (folder / cache_of.MARKER).write_text(marker.model_dump_json())
    return tmp_path


def test_a_complete_model_is_there_and_listed_with_its_size(cache: Path) -> None:
    folder = models.cached(REF, cache)
    assert folder is not None
    [known] = models.installed(cache)
    assert (known.name, known.path, known.bytes) == ("org/name", folder, 9)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_is_cut_short_is_not_used(cache: Path, name: str) -> None:
    os.truncate(cache_of.model_folder(REF.key, cache) / name, 1)
    assert models.cached(REF, cache) is None
    assert models.installed(cache) == []


@pytest.mark.parametrize("name", ["model.safetensors", cache_of.MARKER])
def test_a_missing_file_makes_it_incomplete(cache: Path, name: str) -> None:
    (cache_of.model_folder(REF.key, cache) / name).unlink()
    assert models.cached(REF, cache) is None


def test_a_broken_marker_makes_it_incomplete(cache: Path) -> None:
    (cache_of.model_folder(REF.key, cache) / cache_of.MARKER).write_text("{")
    assert models.cached(REF, cache) is None


def test_an_empty_cache_is_no_error(tmp_path: Path) -> None:
    assert models.cached(REF, tmp_path / "none") is None
    assert models.installed(tmp_path / "none") == []
    assert not models.remove(REF, tmp_path / "none")


def test_an_earlier_revision_of_the_same_name_is_removed_too(cache: Path) -> None:
    folder = cache_of.model_folder(REF.key, cache)
    folder.rename(folder.with_name("an-older-key"))
    assert models.cached(REF, cache) is None
    assert models.remove(REF, cache)
    assert models.installed(cache) == []


def test_a_folder_of_the_persons_own_is_never_deleted(tiny_phi3: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="your own"):
        models.remove(models.resolve(str(tiny_phi3)), tmp_path)
    assert (tiny_phi3 / "config.json").exists()


def test_abandoned_parts_and_broken_off_deletions_are_cleaned(cache: Path) -> None:
    parts = cache / "models" / ".partial"
    for name in ("deleted-1", "old", "new"):
        (parts / name).mkdir(parents=True)
        (parts / name / "x.part").write_text("x")
    long_ago = time.time() - 8 * 24 * 3600
    for path in (parts / "old", parts / "old" / "x.part"):
        os.utime(path, (long_ago, long_ago))
    cache_of.clean(cache)
    assert {path.name for path in parts.iterdir()} == {"new"}
    assert models.cached(REF, cache)


def test_a_part_that_somebody_works_on_is_left_alone(cache: Path) -> None:
    part = cache / "models" / ".partial" / "slow"
    part.mkdir(parents=True)
    with cache_of.lock("slow", cache):
        cache_of.clean(cache, now=time.time() + 30 * 24 * 3600)
        assert part.exists()
