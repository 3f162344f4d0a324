"""The table `[train]`: the trainer's own settings, of which each may be left open."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from phichat.backends.base import Written


def _setting(description: str, example: object, **limits: float) -> Any:
    """A setting that nobody need say: the preset decides then, or the trainer's own default."""
    options: dict[str, Any] = limits
    return Field(default=None, examples=[example], description=description, **options)


class TrainConfig(Written):
    """How to train; what is not named is decided by the preset, then by the trainer."""

    model_config = ConfigDict(allow_inf_nan=False)

    preset: Literal["smoke", "lora", "full"] | None = _setting(
        "named set of what follows; default: the base model's", "lora"
    )
    method: Literal["full", "lora", "qlora"] | None = _setting("train all weights, or an adapter", "lora")
    epochs: float | None = _setting("passes over the training rows", 3.0, gt=0)
    max_steps: int | None = _setting("optimizer steps after which to stop, whatever epochs says", 100, ge=1)
    learning_rate: float | None = _setting("peak step size of the optimizer", 2e-4, gt=0)
    batch_size: int | None = _setting(
        "rows in memory at once; with packing, rows of max_length tokens", 4, ge=1
    )
    gradient_accumulation: int | None = _setting(
        "batches to one optimizer step, over all processes together", 1, ge=1
    )
    max_length: int | None = _setting("tokens of a row; what is longer is cut off, and said", 2048, ge=8)
    packing: bool | None = _setting("put several conversations into one row, each blind to the others", True)
    scheduler: Literal["linear", "cosine", "constant"] | None = _setting(
        "course of the learning rate after the warm-up", "cosine"
    )
    warmup: float | None = _setting("share of the steps in which the learning rate rises", 0.1, ge=0, lt=1)
    weight_decay: float | None = _setting("pull of the weights towards zero", 0.0, ge=0)
    max_grad_norm: float | None = _setting("longest gradient; 0: as long as it is", 1.0, ge=0)
    lora_r: int | None = _setting("rank of the adapter", 16, ge=1)
    lora_alpha: int | None = _setting("scale of the adapter, divided by its rank", 32, ge=1)
    lora_dropout: float | None = _setting("share of the adapter's inputs dropped at random", 0.0, ge=0, lt=1)
    lora_targets: tuple[str, ...] | None = _setting(
        "names of the linear layers to adapt; default: all of them", ["qkv_proj", "o_proj"]
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] | None = _setting(
        "numbers of the arithmetic; trained weights are always float32", "auto"
    )
    gradient_checkpointing: bool | None = _setting(
        "compute activations twice to save memory; default: on a GPU", True
    )
    seed: int | None = _setting("decides the order of the rows and every random number", 0, ge=0)
    log_steps: int | None = _setting("optimizer steps between two metrics", 1, ge=1)
    eval_steps: int | None = _setting("optimizer steps between two evaluations; default: an epoch", 100, ge=1)
    save_steps: int | None = _setting("optimizer steps between two checkpoints; default: an epoch", 100, ge=1)
    keep_best: bool | None = _setting(
        "end with the checkpoint of the lowest eval loss, not with the last", True
    )
    early_stopping_patience: int | None = _setting(
        "evaluations without a lower eval loss after which to stop; default: never", 3, ge=1
    )
    evaluate: bool | None = _setting("compare with the base model when the training is done", True)
    answer_tokens: int | None = _setting("longest answer to a question, in tokens", 48, ge=1)
    save_precision: Literal["auto", "bf16", "fp32"] | None = _setting(
        "numbers of the saved weights; auto: as the base model has them", "auto"
    )
    mlflow_tracking_uri: str | None = _setting(
        "where MLflow keeps runs; default: MLFLOW_TRACKING_URI, or as the place has it",
        "http://127.0.0.1:5000",
    )
    mlflow_experiment: str | None = _setting("name of the MLflow experiment", "phichat")

    @property
    def chosen(self) -> dict[str, Any]:
        """What was said, as the trainer takes it: JSON values, the preset left out."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"preset"})
