"""What the JSON file of `--config` may hold: every key with its type, default, limits and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import operator
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

_LIMITS = {
    "above": (operator.gt, "above"),
    "least": (operator.ge, "at least"),
    "below": (operator.lt, "below"),
    "most": (operator.le, "at most"),
}


class SettingsError(Exception):
    """The configuration is wrong: one sentence that names the file and the key."""


@dataclass(frozen=True)
class Question:
    """Something to ask the model; right is an answer that holds one of `expect` as whole words."""

    prompt: str
    expect: tuple[str, ...] = ()

    def right(self, answer: str) -> bool:
        """Whether the answer holds one of the texts that it should hold."""
        return any(
            re.search(rf"(?<!\w){re.escape(text)}(?!\w)", answer, re.IGNORECASE) for text in self.expect
        )


def setting(
    default: Any,
    doc: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> Any:
    """A field with its meaning and its limits; `above` and `below` are not themselves allowed."""
    limits = {"above": above, "least": least, "below": below, "most": most}
    metadata = {"doc": doc} | {name: value for name, value in limits.items() if value is not None}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What training and evaluation have in common."""

    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto", "where to compute; auto takes a GPU if any"
    )
    threads: int | None = setting(None, "processor threads of PyTorch; default: its own choice", least=1)
    max_length: int = setting(2048, "tokens of a row; what is longer is cut off, and said", least=8)
    seed: int = setting(0, "decides the order of the rows and every random number", least=0)
    stop_tokens: tuple[str, ...] = setting(
        (), "tokens that end an answer, besides those that the model names"
    )
    probes: tuple[Question, ...] = setting((), "questions that show what the model has learned")
    answer_tokens: int = setting(48, "longest answer to a question, in tokens", least=1)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The settings in a JSON file.

        Raises:
            SettingsError: the file cannot be read, or a key or a value is wrong.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise SettingsError(f"{path} is not JSON: {error}.") from error
        if not isinstance(raw, dict):
            raise SettingsError(f"{path} does not hold a JSON object.")
        try:
            return cls.parse(raw)
        except SettingsError as error:
            raise SettingsError(f"{path.name}: {error}") from error

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """The settings of a mapping as JSON gives it.

        Raises:
            SettingsError: a key is unknown or missing, or a value has the wrong type or is out of bounds.
        """
        known = {each.name: each for each in fields(cls)}
        hints = get_type_hints(cls)
        for name in raw:
            if name not in known:
                raise SettingsError(f'"{name}" is no setting{_meant(name, known)}')
        for name, each in known.items():
            if name not in raw and each.default is dataclasses.MISSING:
                raise SettingsError(f'"{name}" is missing.')
        values = {name: _value(name, hints[name], value) for name, value in raw.items()}
        for name, value in values.items():
            _within_limits(name, value, known[name].metadata)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """What no single field can say.

        Raises:
            SettingsError: two settings do not go together.
        """

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values, all of them."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values


@dataclass(frozen=True)
class TrainSettings(Settings):
    """How to train; the defaults are those of an adapter for a Phi of 3.8 billion parameters on one GPU."""

    base_model: str = field(kw_only=True, metadata={"doc": "folder or hub id of the model to start from"})
    revision: str | None = setting(None, "commit of a hub model; names the weights for good")
    method: Literal["full", "lora", "qlora"] = setting("lora", "train all weights, or an adapter")
    epochs: float = setting(3.0, "passes over the training rows", above=0)
    max_steps: int | None = setting(
        None, "optimizer steps after which to stop, whatever epochs says", least=1
    )
    learning_rate: float = setting(2e-4, "peak step size of the optimizer", above=0)
    learning_rate_lower: float | None = setting(None, "below this the learning rate is questioned", above=0)
    learning_rate_upper: float | None = setting(None, "above this the learning rate is questioned", above=0)
    batch_size: int = setting(4, "rows in memory at once; with packing, rows of max_length tokens", least=1)
    gradient_accumulation: int = setting(
        1, "batches to one optimizer step, over all processes together", least=1
    )
    packing: bool = setting(True, "put several conversations into one row, each blind to the others")
    scheduler: Literal["linear", "cosine", "constant"] = setting(
        "cosine", "course of the learning rate after the warm-up"
    )
    warmup: float = setting(0.1, "share of the steps in which the learning rate rises", least=0, below=1)
    weight_decay: float = setting(0.0, "pull of the weights towards zero", least=0)
    max_grad_norm: float = setting(1.0, "longest gradient; 0: as long as it is", least=0)
    lora_r: int = setting(16, "rank of the adapter", least=1)
    lora_alpha: int = setting(32, "scale of the adapter, divided by its rank", least=1)
    lora_dropout: float = setting(0.0, "share of the adapter's inputs dropped at random", least=0, below=1)
    lora_targets: tuple[str, ...] = setting((), "names of the linear layers to adapt; default: all of them")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = setting(
        "auto", "numbers of the arithmetic; trained weights are always float32"
    )
    gradient_checkpointing: bool | None = setting(
        None, "compute activations twice to save memory; default: on a GPU"
    )
    log_steps: int = setting(1, "optimizer steps between two metrics", least=1)
    eval_steps: int | None = setting(
        None, "optimizer steps between two evaluations; default: an epoch", least=1
    )
    save_steps: int | None = setting(
        None, "optimizer steps between two checkpoints; default: an epoch", least=1
    )
    keep_best: bool = setting(True, "end with the checkpoint of the lowest eval loss, not with the last")
    early_stopping_patience: int | None = setting(
        None, "evaluations without a lower eval loss after which to stop; default: never", least=1
    )
    evaluate: bool = setting(True, "compare with the base model when the training is done")
    save_precision: Literal["auto", "bf16", "fp32"] = setting(
        "auto", "numbers of the saved weights; auto: as the base model has them"
    )
    data_fingerprint: str = setting("", "names the dataset; default: a hash of the training file")
    mlflow_tracking_uri: str = setting(
        "", "where MLflow keeps runs; default: MLFLOW_TRACKING_URI, or as the place has it"
    )
    mlflow_experiment: str = setting("phichat", "name of the MLflow experiment")
    run_name: str = setting("", "name of the run")

    def check(self) -> None:
        """Evaluations and checkpoints must fall together where the best checkpoint is to be kept."""
        if self.early_stopping_patience is not None and not self.keep_best:
            raise SettingsError('"early_stopping_patience" needs "keep_best": it goes by the same eval loss.')
        if self.keep_best and (self.eval_steps is None) != (self.save_steps is None):
            raise SettingsError(
                '"eval_steps" and "save_steps" go together, or "keep_best" must be false: '
                "the best checkpoint is one that was evaluated."
            )
        if self.keep_best and self.eval_steps and self.save_steps and self.save_steps % self.eval_steps:
            raise SettingsError(
                f'"save_steps" ({self.save_steps}) is no multiple of "eval_steps" ({self.eval_steps}): '
                'with "keep_best" every checkpoint must be evaluated.'
            )


@dataclass(frozen=True)
class EvalSettings(Settings):
    """How to evaluate."""

    batch_size: int = setting(32, "conversations in memory at once", least=1)
    answers: int = setting(64, "held-out rows that both models answer; all are scored", least=0)
    short_words: int = setting(
        20, "reference answers of up to so many words count for exact match and F1", least=0
    )
    general: bool = setting(True, "ask a fixed set of general questions, to notice forgetting")


def _meant(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else "."


def _value(name: str, hint: Any, value: Any) -> Any:
    """The value as the type that the hint says."""
    origin, choices = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return None if value is None else _value(name, choices[0], value)
    if origin is Literal:
        if value not in choices:
            said = ", ".join(map(str, choices))
            raise SettingsError(f'"{name}" is {json.dumps(value)}, but must be one of {said}.')
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingsError(f'"{name}" must be a list.')
        return tuple(_value(name, choices[0], item) for item in value)
    if hint is Question:
        return _question(name, value)
    return _plain(name, hint, value)


def _plain(name: str, kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise SettingsError(f'"{name}" is {json.dumps(value)}, but must be {names[kind]}.')
    return value


def _question(name: str, value: Any) -> Question:
    if isinstance(value, str):
        return Question(value)
    expect = value.get("expect", []) if isinstance(value, dict) else None
    if not (
        isinstance(value, dict)
        and set(value) <= {"prompt", "expect"}
        and isinstance(value.get("prompt"), str)
        and isinstance(expect, list)
        and all(isinstance(text, str) for text in expect)
    ):
        raise SettingsError(
            f'"{name}" must hold texts, or objects of a "prompt" and a list of texts "expect".'
        )
    return Question(value["prompt"], tuple(expect))


def _within_limits(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    if not isinstance(value, (int, float)):
        return
    for kind, (holds, words) in _LIMITS.items():
        if kind in metadata and not holds(value, metadata[kind]):
            raise SettingsError(f'"{name}" is {value}, but must be {words} {metadata[kind]}.')
