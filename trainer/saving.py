"""The folder that a run leaves: one copy of the weights, and all that is needed to serve or repeat it."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import card
import mlflow_model
import weights
from files import read_json, write, write_json
from settings import TrainSettings

if TYPE_CHECKING:
    import torch

FACTS = "phichat.json"
"""What is known about the model: where it comes from, what it learned, and how well."""
COPIED = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE*",
    "NOTICE*",
)
"""The base model's own files, taken over byte for byte: what was trained with is what is served with."""


def save(
    trainer: Any,
    base: Path,
    output: Path,
    settings: TrainSettings,
    *,
    ends: Collection[int],
    facts: dict[str, Any],
) -> None:
    """Write `output/model`, whole or not at all, and for LoRA `output/adapter`; called in every process."""
    staged = output / "model.partial"
    first = trainer.is_world_process_zero()
    if settings.method == "full":
        # In every process: where the weights are spread, each has a part of them.
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    else:
        trainer.save_model(str(output / "adapter"))
        (output / "adapter" / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody needs
        state = None
        model = merged(base, output / "adapter", settings) if first else None
    if first:
        shutil.rmtree(staged, ignore_errors=True)
        _write(model, state, base, staged, settings, ends)
        tell(staged, facts)
        mlflow_model.write(staged)
        staged.replace(output / "model")


def merged(base: Path, adapter: Path, settings: TrainSettings) -> Any:
    """The base model with the adapter worked into its weights, read from the files that were written."""
    from peft import PeftModel

    model = weights.from_folder(base, dtype=_dtype(base, settings))
    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)


def tell(folder: Path, facts: dict[str, Any]) -> None:
    """Write what is known about a model into its folder, for machines and for people."""
    write_json(folder / FACTS, facts)
    write(folder / "README.md", card.render(facts))


def _write(
    model: Any,
    state: dict[str, torch.Tensor] | None,
    base: Path,
    folder: Path,
    settings: TrainSettings,
    ends: Collection[int],
) -> None:
    from transformers import AutoConfig, GenerationConfig

    dtype = _dtype(base, settings)
    # As the base model has it: training has put padding and end tokens of its own into the one in memory.
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    config.dtype = dtype
    config.architectures = [type(model).__name__]
    if hasattr(config, "auto_map"):
        del config.auto_map  # names files with code, which do not come along
    generation = GenerationConfig.from_model_config(config)
    if (base / "generation_config.json").is_file():
        generation = GenerationConfig.from_pretrained(base, local_files_only=True)
    generation.eos_token_id = sorted(ends)
    model.config, model.generation_config = config, generation
    if state is not None:
        state = {name: tensor.to(dtype) for name, tensor in state.items()}
    model.save_pretrained(folder, state_dict=state)
    for pattern in COPIED:
        for path in base.glob(pattern):
            shutil.copyfile(path, folder / path.name)


def _dtype(base: Path, settings: TrainSettings) -> torch.dtype:
    """The numbers of the saved weights.

    By default those that the base model is published in. Rounding once, at the end, costs what the
    publisher's own rounding did; it is the updates during training that bfloat16 would lose.
    """
    import torch

    if settings.save_precision != "auto":
        return torch.bfloat16 if settings.save_precision == "bf16" else torch.float32
    config = read_json(base / "config.json")
    dtype = getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")
    return dtype if isinstance(dtype, torch.dtype) else torch.float32
