"""What a model's name means, and what is wrong with a name or a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from phichat import models
from phichat.errors import ConfigError
from phichat.models.refs import fault_of

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tiny_phi3: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_phi3, tmp_path / "mine"))


@pytest.mark.parametrize("alias", models.catalogue())
def test_an_alias_means_its_entry(alias: str) -> None:
    ref = models.resolve(alias)
    assert ref.entry == models.catalogue()[alias]
    assert models.download_size(ref) == ref.entry.download_bytes
    assert models.resolve(alias.upper()) == ref


def test_the_hub_id_of_the_catalogue_is_the_same_model() -> None:
    known = models.resolve("phi-3.5-mini")
    assert models.resolve("microsoft/Phi-3.5-mini-instruct") == known
    assert models.resolve(f"microsoft/Phi-3.5-mini-instruct@{known.revision}") == known
    assert models.resolve("microsoft/Phi-3.5-mini-instruct@main") != known


def test_another_hub_model_has_its_revision() -> None:
    ref = models.resolve("org/name@v1.0")
    assert (ref.name, ref.repo, ref.revision, ref.entry) == ("org/name@v1.0", "org/name", "v1.0", None)
    assert models.resolve("org/name").revision == "main"
    assert models.download_size(ref) is None


def test_the_page_of_a_model_is_answered_with_its_name() -> None:
    with pytest.raises(ConfigError, match="is a page") as raised:
        models.resolve("https://huggingface.co/org/name/tree/main")
    assert raised.value.hint == "Name it as org/name"


def test_a_folder_is_a_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = models.resolve(str(folder))
    assert ref.folder == folder
    assert models.download_size(ref) == 0
    assert models.cached(ref, folder) == folder
    monkeypatch.chdir(folder.parent)
    assert models.resolve("mine").folder == models.resolve("./mine").folder == folder


def test_a_sharded_folder_needs_every_shard(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "a.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert fault_of(folder) == "b.safetensors is missing"
    shutil.copy(folder / "a.safetensors", folder / "b.safetensors")
    assert fault_of(folder) == ""


@pytest.mark.parametrize(
    ("missing", "fault"),
    [
        ("config.json", "config.json is missing"),
        ("tokenizer.json", "a tokenizer is missing"),
        (WEIGHTS, "weights are missing"),
    ],
)
def test_a_folder_says_what_it_lacks(folder: Path, missing: str, fault: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match=fault):
        models.resolve(str(folder))


@pytest.mark.parametrize("size", [-1, 1000, 4, 0])
def test_weights_that_are_cut_short_are_noticed(folder: Path, size: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:size])
    with pytest.raises(ConfigError, match=r"model\.safetensors is cut short"):
        models.resolve(str(folder))


def test_an_adapter_is_told_from_a_model(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(ConfigError, match="adapter"):
        models.resolve(str(folder))


def test_a_broken_index_is_told(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")
    assert fault_of(folder) == "model.safetensors.index.json is not readable"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2", "Did you mean smollm2?"),
        ("phi3.5-mini", "Did you mean phi-3.5-mini?"),
        ("phi3", "Did you mean phi-3-mini?"),
        ("Phi-4-mini-instruct", "Did you mean phi-4-mini?"),
    ],
)
def test_a_misspelt_alias_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="There is no model called") as raised:
        models.resolve(name)
    assert raised.value.hint.startswith(hint)
    assert all(alias in raised.value.hint for alias in models.catalogue())


@pytest.mark.parametrize("name", ["", "gpt", "a b", "org/name@", "org/na me"])
def test_what_means_nothing_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError):
        models.resolve(name)


@pytest.mark.parametrize("name", ["./nowhere", "~/nowhere", "/nowhere/at/all", "runs\\model", "../phi"])
def test_a_path_that_is_not_there_is_told_as_one(name: str) -> None:
    with pytest.raises(ConfigError, match="There is no model folder"):
        models.resolve(name)
