"""A tiny Phi-3 goes the whole way: trained with LoRA and in full, saved, judged, and opened by everybody."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phichat.events import Artifact, Metric, Status
from tests.conftest import ROOT
from tests.trainer.conftest import Data
from tests.trainer.runs import Run, Runs, arguments

ASKED = [{"role": "user", "content": "Tell me about the sea."}]
NAMES = {
    *("loss", "learning_rate", "grad_norm", "token_accuracy"),
    *("tokens_per_s", "memory", "epoch", "seconds"),
}
TAUGHT = "is older than anyone who walks there"
"""What every answer to that question says, whatever it was asked about."""


@dataclass
class Finished:
    """A run that has ended, with its folder."""

    run: Run
    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "out" / "model"

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.model / "phichat.json").read_text(encoding="utf-8"))
        return facts


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, runs: Runs, tiny_phi3: Path, data: Data) -> Finished:
    """All weights, in float32 numbers, without packing."""
    folder = tmp_path_factory.mktemp("full")
    settings = {
        "base_model": str(tiny_phi3), "method": "full", "epochs": 10, "learning_rate": 1e-2, "batch_size": 4,
        "packing": False, "max_length": 128, "precision": "fp32", "answer_tokens": 24, "run_name": "sea",
        "probes": [{"prompt": "Tell me about the sea.", "expect": ["older"]}], "stop_tokens": ["</s>"],
    }  # fmt: skip
    run = runs.start("train", folder, arguments(folder, data, settings))
    assert run.wait() == 0, run.errors
    return Finished(run, folder)


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, tiny_phi3: Path, data: Data) -> Finished:
    """An adapter, in bfloat16 numbers, packed, told to MLflow; as the script that a person would start."""
    folder = tmp_path_factory.mktemp("lora")
    settings = {
        "base_model": str(tiny_phi3), "method": "lora", "epochs": 2, "learning_rate": 1e-2, "batch_size": 2,
        "packing": True, "max_length": 256, "precision": "bf16", "evaluate": False,
        "mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db", "learning_rate_upper": 1e-3,
    }  # fmt: skip
    argv = [sys.executable, str(ROOT / "trainer" / "train.py"), *arguments(folder, data, settings)]
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        process = subprocess.Popen(argv, stdout=out, stderr=err, cwd=folder)
    run = Run(process.pid, folder, lambda pid: process.wait())
    assert run.wait() == 0, run.errors
    return Finished(run, folder)


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


# What is said


def test_it_says_how_it_goes_from_preparing_to_the_end(full: Finished) -> None:
    states = [event.state for event in full.run.events if isinstance(event, Status)]
    assert states == ["preparing", "running", "succeeded"]
    steps = ("data", "base model", "save", "evaluate", "examine base", "examine tuned")
    assert full.run.steps == dict.fromkeys(steps, "done")
    words = full.run.last.detail
    assert words.startswith(f"The model is in {full.model}. Eval loss: 5.9")


def test_stdout_holds_nothing_but_events(full: Finished, lora: Finished) -> None:
    for finished in (full, lora):
        lines = (finished.folder / "stdout").read_text(encoding="utf-8").splitlines()
        assert all(json.loads(line)["kind"] for line in lines)


def test_every_step_has_its_metrics(full: Finished) -> None:
    metrics = [e for e in full.run.events if isinstance(e, Metric) and "loss" in e.values]
    assert [event.step for event in metrics] == list(range(1, 81))
    assert {event.total for event in metrics} == {80}
    for event in metrics:
        assert set(event.values) == NAMES
        assert event.values["tokens_per_s"] > 0
        assert event.values["memory"] > 1e7
    assert metrics[-1].values["epoch"] == 10
    seconds = [event.values["seconds"] for event in metrics]
    assert seconds == sorted(seconds)


def test_it_is_evaluated_and_asked_before_and_after_each_epoch(full: Finished) -> None:
    losses = full.run.metrics("eval_loss")
    assert list(losses) == [0, *range(8, 81, 8)]
    assert losses[0] == pytest.approx(5.93, abs=0.05)  # a vocabulary of 384, nothing learned
    assert losses[80] < 0.5
    asked = [sample.step for sample in full.run.samples]
    assert asked == [*losses, 80]  # and once more when the saved model is examined
    assert TAUGHT in full.run.samples[-1].text
    assert TAUGHT not in full.run.samples[0].text


def test_a_rate_out_of_bounds_is_questioned(lora: Finished) -> None:
    assert "Is learning_rate 0.01 meant? For this model 0.001 is the most that is usual." in lora.run.logs


# What is saved


@pytest.mark.parametrize("which", ["full", "lora"])
def test_the_model_opens_and_is_complete(which: str, request: pytest.FixtureRequest, tiny_phi3: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    finished: Finished = request.getfixturevalue(which)
    model = AutoModelForCausalLM.from_pretrained(finished.model)
    tokenizer = AutoTokenizer.from_pretrained(finished.model)
    assert type(model).__name__ == "Phi3ForCausalLM"
    base = weights_of(tiny_phi3)
    tuned = weights_of(finished.model)
    assert tuned.keys() == base.keys()
    assert {name: (t.shape, t.dtype) for name, t in tuned.items()} == {
        name: (t.shape, t.dtype) for name, t in base.items()
    }
    changed = {name for name in base if not base[name].equal(tuned[name])}
    if which == "full":
        assert changed == set(base)
    else:
        linear = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
        assert changed == {name for name in base if name.split(".")[-2] in linear}
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(tiny_phi3).chat_template


def test_the_tokenizer_and_the_template_are_the_base_models_own(full: Finished, tiny_phi3: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (full.model / name).read_bytes() == (tiny_phi3 / name).read_bytes()
    template = (tiny_phi3 / "chat_template.jinja").read_text(encoding="utf-8")
    assert full.facts()["template_sha256"] == hashlib.sha256(template.encode()).hexdigest()


def test_all_stop_tokens_are_saved(full: Finished, tiny_phi3: Path) -> None:
    def of(folder: Path, name: str) -> Any:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    ends = of(full.model, "generation_config.json")["eos_token_id"]
    assert ends == sorted([*of(tiny_phi3, "generation_config.json")["eos_token_id"], 2])  # and </s>
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert of(full.model, "config.json")[name] == of(tiny_phi3, "config.json")[name]


def test_there_is_one_copy_of_the_weights(full: Finished, lora: Finished) -> None:
    for finished in (full, lora):
        large = [path.name for path in finished.model.rglob("*") if path.stat().st_size > 100_000]
        assert large == ["model.safetensors"]
        assert not (finished.folder / "out" / "checkpoints").exists()
        assert not list(finished.folder.rglob("*.partial"))
    copies = [path.parent.name for path in lora.folder.rglob("*.safetensors")]
    assert sorted(copies) == ["adapter", "model"]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_the_adapter_on_the_base_model_is_the_merged_model(lora: Finished, tiny_phi3: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_phi3)
    adapted = PeftModel.from_pretrained(base, str(lora.folder / "out" / "adapter"))
    merged = AutoModelForCausalLM.from_pretrained(lora.model)
    ids = torch.arange(8, 40)[None]
    with torch.no_grad():
        torch.testing.assert_close(adapted(ids).logits, merged(ids).logits, atol=1e-4, rtol=1e-4)


def test_the_facts_suffice_to_make_it_again(full: Finished, data: Data, tiny_phi3: Path) -> None:
    facts = full.facts()
    given = json.loads((full.folder / "config.json").read_text(encoding="utf-8"))
    assert {name: facts["settings"][name] for name in given if name != "probes"} == {
        name: value for name, value in given.items() if name != "probes"
    }
    assert facts["base_model"] == str(tiny_phi3)
    assert facts["training_template"] == "phi3_training"
    assert facts["data"]["fingerprint"] == hashlib.sha256(data[0].read_bytes()).hexdigest()
    assert facts["data"]["train_rows"] == 32
    assert {"python", "torch", "transformers", "trl", "peft"} <= facts["versions"].keys()
    assert facts["training"]["steps"] == 80
    assert facts["training"]["eval_loss"] == min(full.run.metrics("eval_loss").values())
    (probe,) = facts["probes"]
    assert probe["prompt"] == "Tell me about the sea."
    assert TAUGHT in probe["answer"]
    assert facts["evaluation"]["tuned"]["perplexity"] < 2 < 300 < facts["evaluation"]["base"]["perplexity"]
    card = (full.model / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    digest = facts["base_weights_sha256"]
    for needed in (
        "# sea",
        facts["data"]["fingerprint"],
        facts["template_sha256"],
        '"learning_rate": 0.01',
        digest,
    ):
        assert needed in card
    assert str(tiny_phi3.parent) not in card, "where it lies here is nobody's business"
    weights = hashlib.sha256((tiny_phi3 / "model.safetensors").read_bytes()).digest()
    assert digest == hashlib.sha256(b"model.safetensors" + weights).hexdigest()


def test_a_finished_run_is_not_done_again(full: Finished, runs: Runs, data: Data, tmp_path: Path) -> None:
    train, held_out = data
    out = full.folder / "out"
    argv = ["--train-file", str(train), "--eval-file", str(held_out)]
    argv += ["--config", str(full.folder / "config.json"), "--output-dir", str(out)]
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = runs.start("train", tmp_path, argv)
    assert again.wait() == 0, again.errors
    assert again.steps == {"train": "reused", "evaluate": "reused"}
    assert again.last.state == "succeeded"
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


# MLflow


def test_mlflow_has_the_parameters_and_the_metrics(lora: Finished) -> None:
    with sqlite3.connect(lora.folder / "mlflow.db") as database:
        runs = database.execute("select status from runs").fetchall()
        params = dict(database.execute("select key, value from params"))
        losses = database.execute(
            "select step, value from metrics where key = 'loss' order by step"
        ).fetchall()
    assert runs == [("FINISHED",)]
    assert params["learning_rate"] == "0.01"
    assert params["method"] == "lora"
    assert len(params) <= 200
    assert dict(losses) == pytest.approx(lora.run.metrics("loss"))


THROUGH_MLFLOW = """
import json, sys
import mlflow, pandas

folder, store, uri = sys.argv[1:]
mlflow.set_tracking_uri(store)
chat = [{"role": "user", "content": "Tell me about the sea."}]

def ask(model, chat, **params):
    return model.predict({"messages": chat}, params=params)

model = mlflow.pyfunc.load_model(folder)
known = mlflow.pyfunc.load_model(uri)
print(json.dumps({
    "params": [param.name for param in model.metadata.signature.params],
    "answer": ask(model, chat, max_new_tokens=24),
    "short": model.predict(pandas.DataFrame({"messages": [chat, chat]}), params={"max_new_tokens": 5}),
    "drawn": [ask(model, chat, temperature=2.0, seed=seed, max_new_tokens=24) for seed in (1, 1, 2)],
    "known": ask(known, chat, max_new_tokens=24),
}))
"""


def test_the_model_answers_a_chat_through_mlflow(full: Finished, lora: Finished, tmp_path: Path) -> None:
    """From its folder, and as the model that MLflow knows, which is the one in the folder."""
    (uri,) = [e.uri for e in lora.run.events if isinstance(e, Artifact) and e.name == "mlflow model"]
    argv = [sys.executable, "-c", THROUGH_MLFLOW, str(full.model), f"sqlite:///{lora.folder}/mlflow.db", uri]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["params"] == ["max_new_tokens", "temperature", "top_p", "seed"]
    assert TAUGHT in said["answer"][0]
    assert len(said["short"]) == 2
    assert TAUGHT not in said["short"][0]
    assert said["drawn"][0] == said["drawn"][1] != said["drawn"][2]
    assert said["known"] != said["answer"]
    assert not list(tmp_path.iterdir())
