"""The base model: where its weights are, which numbers it computes with, which layers LoRA adapts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from download import download
from failures import TrainError, first_line, out_of_memory
from files import read_json
from jobevents import Events
from settings import Settings, TrainSettings

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp16", "fp32"]


def locate(base_model: str, revision: str | None, events: Events) -> Path:
    """The folder of a base model; one of the hub is downloaded where the job runs, once.

    Raises:
        TrainError: there is no such folder or hub model, or it cannot be downloaded.
    """
    folder = Path(base_model).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir() or folder.is_absolute() or base_model.count("/") > 1:
        raise TrainError(f"{folder} holds no model: there is no config.json in it.")
    events.step("download", "running", base_model)
    try:
        path = download(base_model, revision, events)
    except Exception as error:
        raise TrainError(
            f"The base model {base_model} cannot be downloaded: {first_line(error).rstrip('.')}. "
            'Check the name and the network, or give a folder as "base_model".'
        ) from error
    events.step("download", "done", base_model)
    return path


def place(device: str) -> torch.device:
    """Where to compute.

    Raises:
        TrainError: that device is not here.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        raise TrainError(f'"device" is {device}, but PyTorch finds none on this machine.')
    return torch.device(device)


def precision(wanted: str, device: torch.device) -> Precision:
    """The numbers of the arithmetic. Weights that are trained stay float32 whatever this says.

    Weights in bfloat16 lose the updates: 0 of 10 facts learned where float32 weights with bfloat16 arithmetic
    learned 7. On a CPU, bfloat16 pays only where the processor computes with it.
    """
    import torch

    if wanted in ("bf16", "fp16", "fp32"):
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if device.type == "cpu" and any(_cpu_has(feature) for feature in ("amx_tile", "avx512_bf16")):
        return "bf16"
    return "fp32"


def _cpu_has(feature: str) -> bool:
    import torch

    supported = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return bool(supported and supported())


def load(folder: Path, settings: TrainSettings, device: torch.device) -> Any:
    """The model with weights as the method needs them: float32 where they are trained.

    Raises:
        TrainError: the model cannot be trained here.
    """
    import torch

    numbers = precision(settings.precision, device)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[numbers]
    options: dict[str, Any] = {"dtype": torch.float32}
    if settings.method == "qlora":
        # Each process has the whole model on its own GPU.
        here = {"": int(os.environ.get("LOCAL_RANK", "0"))}
        options = {"dtype": half, "quantization_config": _four_bits(half, device), "device_map": here}
    elif settings.method == "lora" and device.type == "cuda":
        options = {"dtype": half}  # frozen: nothing is lost, and half the memory is won
    if device.type == "cuda" and settings.packing and _flash_attention() and numbers != "fp32":
        options["attn_implementation"] = "flash_attention_2"
    return from_folder(folder, **options)


def from_folder(folder: Path, **options: Any) -> Any:
    """The model in a folder; no code of the folder is ever run.

    Raises:
        TrainError: it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, **options
        )
    except Exception as error:
        if out_of_memory(error):
            raise
        raise TrainError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error
    model, report = loaded
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise TrainError(f"The model in {folder} is not complete: {missing[0]} is missing.")
    return model


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer in a folder.

    Raises:
        TrainError: there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise TrainError(f"The tokenizer in {folder} cannot be loaded: {first_line(error)}") from error


def stop_tokens(folder: Path, tokenizer: Any, settings: Settings) -> list[int]:
    """The tokens that end an answer, as the model's files and the settings name them.

    Raises:
        TrainError: one of the settings is no token of the model.
    """
    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        named = read_json(folder / name).get("eos_token_id")
        found.update([named] if isinstance(named, int) else named or [])
    if tokenizer.eos_token_id is not None:
        found.add(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab()
    for token in settings.stop_tokens:
        if token not in vocabulary:
            raise TrainError(f'"stop_tokens" names {token!r}, which is no token of the base model.')
        found.add(vocabulary[token])
    return sorted(found)


def lora_targets(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The linear layers to adapt, by the last part of their names; all of them if none are wanted.

    Raises:
        TrainError: a wanted one is not in this model. PEFT would adapt the others and say nothing: a list for
            Llama trains a third of a Phi-3.
    """
    there = sorted({name.rpartition(".")[2] for name in names})
    missing = [name for name in wanted if name not in there]
    if missing:
        raise TrainError(
            f'"lora_targets" names {", ".join(missing)}, but this model has {", ".join(there)}. '
            "Leave it out to adapt them all."
        )
    return sorted(wanted) or there


def linear_layers(model: Any) -> list[str]:
    """The full names of a model's linear layers, but for the one that gives the next token."""
    import torch

    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]


def _four_bits(half: torch.dtype, device: torch.device) -> Any:
    from transformers import BitsAndBytesConfig
    from transformers.utils.import_utils import is_bitsandbytes_available

    if device.type != "cuda" or not is_bitsandbytes_available():
        raise TrainError(
            'The method "qlora" needs an NVIDIA GPU and the package bitsandbytes. Choose "lora" instead.'
        )
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=half,
    )


def _flash_attention() -> bool:
    from transformers.utils.import_utils import is_flash_attn_2_available

    return bool(is_flash_attn_2_available())
