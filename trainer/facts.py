"""What is known about a trained model: everything that is needed to judge it, and to make it again."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from material import Material
from record import Record
from settings import TrainSettings

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")


def facts(settings: TrainSettings, material: Material, data: str) -> dict[str, Any]:
    """What is known before anything was learned; `data` names the dataset."""
    rows, held_out = material.rows, material.held_out
    return {
        "name": settings.run_name,
        "base_model": settings.base_model,
        "base_model_is_folder": Path(settings.base_model).expanduser().is_dir(),
        "revision": settings.revision,
        "base_weights_sha256": weights_digest(material.base),
        "template_sha256": material.masker.template_hash,
        "training_template": material.masker.how,
        "data": {
            "fingerprint": data,
            "train_rows": len(rows.examples),
            "eval_rows": len(held_out.examples) if held_out else 0,
            "tokens": rows.tokens,
            "tokens_learned": rows.learned,
            "rows_cut_off": rows.cut,
            "rows_left_out": rows.dropped,
        },
        "versions": {"python": platform.python_version()}
        | {package: metadata.version(package) for package in PACKAGES},
        "settings": settings.as_json(),
    }


def weights_digest(folder: Path) -> str:
    """Names the weights of a folder, in hexadecimal: SHA-256 of each file's name and its own SHA-256.

    A folder has no revision, and may be another one tomorrow. Costs a second for a gigabyte or two.
    """
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def learned(trainer: Any, record: Record) -> dict[str, Any]:
    """How the training went."""
    state, args = trainer.state, trainer.args
    return {
        "steps": state.global_step,
        "epochs": round(state.epoch or 0, 3),
        "rows_per_step": args.per_device_train_batch_size
        * args.gradient_accumulation_steps
        * args.world_size,
        "processes": args.world_size,
        "device": args.device.type,
        "precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32",
        "loss": next(reversed(record.values("loss")), None),
        "eval_loss": state.best_metric or next(reversed(record.values("eval_loss")), None),
        "best_step": state.best_global_step,
        "seconds": round(record.seconds, 1),
    }
