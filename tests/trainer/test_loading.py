"""Folders that can be served, and one sentence for each that cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from contract import ModelError
from folder import find
from model import load, out_of_memory


@pytest.fixture
def copy(tiny_phi3: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_phi3, tmp_path / "model")


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def _incomplete(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"], weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _unknown(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "phi99"}), encoding="utf-8")


def _adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, r"There is no folder .*model\."),
        (_without("config.json"), r"holds no model: there is no config\.json in it\."),
        (_adapter, r"holds an adapter without its base model: merge it first\."),
        (_without("model.safetensors"), r"has no weights: there is no \.safetensors file in it\."),
        (_without("chat_template.jinja"), r"is no chat model: its tokenizer has no chat template\."),
        (_without("tokenizer.json"), r"cannot be loaded: "),
        (_cut, r"cannot be loaded: "),
        (_incomplete, r"is not complete: lm_head\.weight and 1 more are missing\."),
        (_unknown, r"cannot be loaded: .*phi99"),
    ],
)
def test_what_cannot_be_served_is_said(copy: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(copy)
    with pytest.raises(ModelError, match=said) as caught:
        load(copy, "cpu")
    assert "\n" not in str(caught.value)


def test_too_little_memory_is_said(tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")

    monkeypatch.setattr("model.Model", full)
    with pytest.raises(ModelError, match="not enough memory to load"):
        load(tiny_phi3, "cpu")


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_memory_that_ran_out_is_known(error: Exception) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(ValueError("CUDA is not there"))


def test_it_is_float32_on_a_cpu(tiny_phi3: Path) -> None:
    model, _ = load(tiny_phi3, "cpu")
    assert model.device == torch.device("cpu")
    assert {parameter.dtype for parameter in model._network.parameters()} == {torch.float32}
    assert model.bytes_per_token == 2 * 2 * 2 * 16 * 4


def test_a_model_is_found_below(tiny_phi3: Path, tmp_path: Path) -> None:
    assert find(tiny_phi3) == tiny_phi3
    deep = shutil.copytree(tiny_phi3, tmp_path / "a" / "b" / "model")
    (tmp_path / "a" / "config.json").write_text("{}", encoding="utf-8")
    assert find(tmp_path) == deep
    assert find(tmp_path / "nowhere") == tmp_path / "nowhere"
