"""A GGUF file's conversion, against what transformers itself reads from the same file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phichat.models.catalogue import catalogue
from phichat.models.convert import convert
from phichat.models.refs import fault_of
from tests.models import gguf_file

ENTRY = catalogue()["smollm2"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_file.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def folder(source: Path) -> Path:
    folder = source.parent / "model"
    folder.mkdir()
    convert(source, folder, ENTRY, lambda done, total: None)
    return folder


def test_is_a_whole_model(folder: Path) -> None:
    assert fault_of(folder) == ""


def test_every_weight_is_the_one_that_transformers_reads(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    ours = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_configuration_is_the_one_that_transformers_reads(source: Path, folder: Path) -> None:
    from transformers import AutoConfig

    ours, theirs = (
        AutoConfig.from_pretrained(folder),
        AutoConfig.from_pretrained(source.parent, gguf_file=source.name),
    )
    # Ours knows every stop token, a padding token that ends no turn, and where it comes from.
    differ = {"_name_or_path", "architectures", "dtype", "eos_token_id", "pad_token_id", "unk_token_id"}
    theirs_dict = {
        key: value for key, value in theirs.to_dict().items() if key not in differ | {"quantization_config"}
    }
    ours_dict = {key: value for key, value in ours.to_dict().items() if key not in differ}
    assert ours_dict.pop("rms_norm_eps") == 1e-05
    assert theirs_dict.pop("rms_norm_eps") == pytest.approx(1e-05)
    assert ours_dict == theirs_dict


def test_every_stop_token_is_told(folder: Path) -> None:
    told = json.loads((folder / "generation_config.json").read_text())
    assert told == {"bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 0}


def test_digits_stand_alone_though_the_vocabulary_has_a_pair(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("a12") == ["a", "1", "2"]
    assert tokenizer.chat_template == gguf_file.TEMPLATE


def test_progress_ends_with_all_bytes(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    convert(source, tmp_path, ENTRY, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_another_kind_of_model_is_not_guessed_at(tmp_path: Path) -> None:
    source = gguf_file.write(tmp_path / "other.gguf", pre="qwen2")
    with pytest.raises(ValueError, match="qwen2"):
        convert(source, tmp_path, ENTRY, lambda done, total: None)
