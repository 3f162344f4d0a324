"""The settings of a run: what is refused, in which words, and that it costs nothing to say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from material import doubts
from settings import EvalSettings, Question, Settings, SettingsError, TrainSettings
from tests.conftest import ROOT

TRAIN = ROOT / "trainer" / "train.py"
MODEL = {"base_model": "somewhere"}


def test_what_is_not_said_has_a_default() -> None:
    settings = TrainSettings.parse(MODEL)
    assert (settings.method, settings.batch_size, settings.lora_targets) == ("lora", 4, ())
    assert TrainSettings.parse(settings.as_json()) == settings


def test_json_values_become_the_types_of_the_fields() -> None:
    settings = TrainSettings.parse(
        MODEL
        | {"epochs": 2, "lora_targets": ["o_proj"], "probes": ["Hi?", {"prompt": "Who?", "expect": ["I"]}]}
    )
    assert settings.epochs == 2.0
    assert isinstance(settings.epochs, float)
    assert settings.lora_targets == ("o_proj",)
    assert settings.probes == (Question("Hi?"), Question("Who?", ("I",)))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"lerning_rate": 1}, '"lerning_rate" is no setting; did you mean "learning_rate"?'),
        ({"zzz": 1}, '"zzz" is no setting.'),
        ({"epochs": "3"}, '"epochs" is "3", but must be a number.'),
        ({"epochs": True}, '"epochs" is true, but must be a number.'),
        ({"epochs": float("nan")}, '"epochs" is NaN, but must be a number.'),
        ({"batch_size": 1.5}, '"batch_size" is 1.5, but must be a whole number.'),
        ({"packing": 1}, '"packing" is 1, but must be true or false.'),
        ({"revision": 5}, '"revision" is 5, but must be a text.'),
        ({"learning_rate": 0}, '"learning_rate" is 0.0, but must be above 0.'),
        ({"warmup": 1}, '"warmup" is 1.0, but must be below 1.'),
        ({"batch_size": 0}, '"batch_size" is 0, but must be at least 1.'),
        ({"method": "dora"}, '"method" is "dora", but must be one of full, lora, qlora.'),
        ({"lora_targets": "q_proj"}, '"lora_targets" must be a list.'),
        ({"lora_targets": [1]}, '"lora_targets" is 1, but must be a text.'),
        ({"probes": [{"question": "?"}]}, '"probes" must hold texts, or objects of'),
        ({"probes": [{"prompt": "?", "expect": "!"}]}, '"probes" must hold texts, or objects of'),
        ({"early_stopping_patience": 1, "keep_best": False}, '"early_stopping_patience" needs "keep_best"'),
        ({"eval_steps": 5}, '"eval_steps" and "save_steps" go together'),
        ({"eval_steps": 4, "save_steps": 6}, '"save_steps" (6) is no multiple of "eval_steps" (4)'),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TrainSettings.parse(MODEL | raw)
    assert str(caught.value).startswith(sentence)


def test_what_must_be_said_is_asked_for() -> None:
    with pytest.raises(SettingsError, match='"base_model" is missing'):
        TrainSettings.parse({})


@pytest.mark.parametrize("kind", [TrainSettings, EvalSettings])
def test_every_setting_is_described(kind: type[Settings]) -> None:
    fields = kind.__dataclass_fields__.values()
    assert all(field.metadata["doc"] for field in fields)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("It is Paris.", True), ("PARIS", True), ("Comparison", False), ("", False), ("parisian", False)],
)
def test_an_answer_is_right_by_whole_words(answer: str, right: bool) -> None:
    assert Question("?", ("Paris", "Lutetia")).right(answer) is right


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is not JSON"), ("[]", "does not hold a JSON object"), ('{"epochs": 0}', "config.json:")],
)
def test_the_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=sentence) as caught:
        TrainSettings.load(config)
    assert "config.json" in str(caught.value)


def test_a_bad_config_ends_at_once_without_loading_a_library(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"base_model": "x", "epoch": 1}', encoding="utf-8")
    code = (
        "import sys, train\n"
        f"code = train.main(['--train-file', 'x', '--config', {str(config)!r}, '--output-dir', 'y'])\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TRAIN.parent, capture_output=True, text=True, check=False
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert [event["state"] for event in events] == ["preparing", "failed"]
    assert events[-1]["detail"] == 'config.json: "epoch" is no setting; did you mean "epochs"?'
    assert not {"torch", "transformers", "trl", "mlflow", "datasets"} & set(done.stderr.split())


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_loads_no_library(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(TRAIN.with_name(script)), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--output-dir" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "settings" in loaded
    assert not {"torch", "transformers", "trl", "mlflow", "datasets"} & loaded


def test_what_is_probably_a_mistake_is_questioned(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 4096}', encoding="utf-8")
    bounds = {"base_model": "m", "learning_rate_lower": 1e-6, "learning_rate_upper": 1e-3}

    def asked(**chosen: Any) -> list[str]:
        return list(doubts(TrainSettings.parse(bounds | chosen), tmp_path))

    assert asked(learning_rate=1e-4, max_length=4096) == []
    assert asked(learning_rate=0.5, max_length=5000) == [
        "Is learning_rate 0.5 meant? For this model 0.001 is the most that is usual.",
        "Is max_length 5000 meant? This model sees 4096 tokens at once.",
    ]
    assert asked(learning_rate=1e-7) == [
        "Is learning_rate 1e-07 meant? For this model 1e-06 is the least that is usual."
    ]
