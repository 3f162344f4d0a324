"""The base model: where it is, which numbers it computes with, which layers an adapter may have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import weights
from failures import TrainError
from jobevents import Events
from phichat.events import Progress, Step, parse
from settings import TrainSettings
from tests.conftest import ROOT
from tests.hub import hub_with

SILENT = Events(None)
PHI3 = [
    f"model.layers.{n}.{name}"
    for n in (0, 1)
    for name in ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.down_proj")
]


def test_a_folder_is_where_it_is(tiny_phi3: Path) -> None:
    assert weights.locate(str(tiny_phi3), None, SILENT) == tiny_phi3


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path), str(tmp_path / "nowhere"), "./a/b/c"):
        with pytest.raises(TrainError, match=r"holds no model: there is no config\.json in it"):
            weights.locate(name, None, SILENT)


def test_a_hub_model_that_cannot_be_had_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TrainError, match=r"^The base model nobody/nothing cannot be downloaded: "):
        weights.locate("nobody/nothing", "abc", SILENT)


FETCH = """
import sys
import environment, weights
from jobevents import Events
events = Events.on_stdout()
environment.prepare(None)
for _ in range(2):
    print(weights.locate("tiny/phi-3", None, events), file=sys.stderr)
"""


def test_a_hub_model_is_fetched_once_and_without_its_code(tiny_phi3: Path, tmp_path: Path) -> None:
    with hub_with(tiny_phi3) as hub:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", FETCH],
            cwd=ROOT / "trainer",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        folder, again = map(Path, done.stderr.split())
        assert folder == again
        assert hub.bytes_sent("model.safetensors") == len(hub.files["model.safetensors"])
    assert (folder / "model.safetensors").read_bytes() == (tiny_phi3 / "model.safetensors").read_bytes()
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in tiny_phi3.iterdir()}
    events = [parse(line) for line in done.stdout.splitlines()]
    steps = [(event.name, event.state) for event in events if isinstance(event, Step)]
    assert steps[:2] == [("download", "running"), ("download", "done")]
    (*_, last) = [event for event in events if isinstance(event, Progress)]
    assert (last.what, last.unit) == ("download", "bytes")
    assert last.done == last.total == sum((folder / name).stat().st_size for name in names)


def test_a_device_that_is_not_here_is_refused() -> None:
    assert weights.place("cpu").type == "cpu"
    with pytest.raises(TrainError, match='"device" is cuda, but PyTorch finds none'):
        weights.place("cuda")


@pytest.mark.parametrize(
    ("features", "expected"), [({"amx_tile"}, "bf16"), ({"avx512_bf16"}, "bf16"), (set(), "fp32")]
)
def test_bfloat16_is_used_where_the_processor_computes_with_it(
    features: set[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for feature in ("amx_tile", "avx512_bf16"):
        monkeypatch.setattr(
            torch.cpu, f"_is_{feature}_supported", lambda here=feature in features: here, raising=False
        )
    assert weights.precision("auto", torch.device("cpu")) == expected
    assert weights.precision("fp32", torch.device("cpu")) == "fp32"
    assert weights.precision("auto", torch.device("mps")) == "fp32"


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_computes_with_half_numbers(bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert weights.precision("auto", torch.device("cuda")) == expected


def test_all_linear_layers_are_adapted_by_default() -> None:
    assert weights.lora_targets(PHI3, ()) == ["down_proj", "o_proj", "qkv_proj"]
    assert weights.lora_targets(PHI3, ("o_proj",)) == ["o_proj"]


def test_layers_that_the_model_has_not_are_refused() -> None:
    """PEFT would train o_proj and down_proj, a third of the model, and say nothing."""
    llama = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    with pytest.raises(TrainError) as caught:
        weights.lora_targets(PHI3, llama)
    assert str(caught.value) == (
        '"lora_targets" names q_proj, k_proj, v_proj, gate_proj, up_proj, but this model has '
        "down_proj, o_proj, qkv_proj. Leave it out to adapt them all."
    )


def test_quantized_training_needs_a_gpu(tiny_phi3: Path) -> None:
    import torch

    settings = TrainSettings(base_model="x", method="qlora")
    with pytest.raises(TrainError, match='"qlora" needs an NVIDIA GPU and the package bitsandbytes'):
        weights.load(tiny_phi3, settings, torch.device("cpu"))


def test_the_stop_tokens_are_everybodys(tiny_phi3: Path) -> None:
    tokenizer = weights.tokenizer_of(tiny_phi3)
    names = ("<|endoftext|>", "<|assistant|>", "<|end|>", "</s>")
    settings = TrainSettings(base_model="x", stop_tokens=("</s>",))
    assert weights.stop_tokens(tiny_phi3, tokenizer, settings) == sorted(
        tokenizer.convert_tokens_to_ids(names)
    )
    with pytest.raises(TrainError, match="\"stop_tokens\" names '<stop>', which is no token"):
        weights.stop_tokens(tiny_phi3, tokenizer, TrainSettings(base_model="x", stop_tokens=("<stop>",)))


def test_no_code_of_a_model_is_run(tiny_phi3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_phi3, folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "evil.py").write_text("raise SystemExit('run!')", encoding="utf-8")
    assert type(weights.from_folder(folder)).__name__ == "Phi3ForCausalLM"


def test_a_broken_model_is_one_sentence(tiny_phi3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_phi3, folder)
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(TrainError, match="cannot be loaded"):
        weights.from_folder(folder)
    with pytest.raises(TrainError, match=r"^The tokenizer in .* cannot be loaded"):
        weights.tokenizer_of(tmp_path)


def test_memory_that_runs_out_is_not_taken_for_a_broken_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    def fail(*args: Any, **kwargs: Any) -> SimpleNamespace:
        raise MemoryError

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(MemoryError):
        weights.from_folder(Path("x"))
