"""One language model in memory: loaded from a folder, shown tokens, asked what comes next."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Before torch: threads that spin while they wait slow each other, and everything else, down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from cache import KeyValues
from contract import ModelError
from folder import look_at

NO_CONTEXT = 2048
"""Tokens of context of a model whose config does not say."""


class Model:
    """A causal language model that reads into a `KeyValues`."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network = network
        self.device = device
        if device.type == "cpu":
            # transformers would copy keys and values for every head that shares them: an eighth of the time.
            os.environ.setdefault("TRANSFORMERS_SDPA_FORCE_GQA", "1")
        config = network.config.get_text_config(decoder=True)
        self.context = int(getattr(config, "max_position_embeddings", None) or NO_CONTEXT)
        self.end_tokens = (network.generation_config.eos_token_id, network.config.eos_token_id)
        rope = getattr(config, "rope_parameters", None) or {}
        longrope = rope.get("rope_type") == "longrope"
        self.boundary: int | None = rope["original_max_position_embeddings"] if longrope else None
        """The longest text, in tokens, that is read with short position factors; None: there is one set."""
        self.bytes_per_token = self._try_out()
        # transformers computes the long factors when it is first used.
        self._rotary = [module for module in network.modules() if hasattr(module, "long_inv_freq")]

    def is_long(self, tokens: int) -> bool:
        """Whether a text of that many tokens is read with the position factors for long ones."""
        return self.boundary is not None and tokens > self.boundary

    def read(self, held: KeyValues, tokens: Sequence[int]) -> None:
        """Read more tokens, without asking what comes next: that would cost a whole output layer."""
        self._forward(self._network.base_model, held, tokens)
        if self.device.type != "cpu":
            torch.accelerator.synchronize()  # so that how long it took can be measured

    def next(self, held: KeyValues, tokens: Sequence[int]) -> torch.Tensor:
        """Read more tokens; returns the logits of the next one, shape (vocabulary,)."""
        logits: torch.Tensor = self._forward(self._network, held, tokens, logits_to_keep=1).logits
        return logits[0, -1]

    def _forward(self, network: Any, held: KeyValues, tokens: Sequence[int], **options: Any) -> Any:
        ids = torch.tensor([tokens], device=self.device)
        with self._long_factors() if held.long else contextlib.nullcontext():
            output = network(input_ids=ids, past_key_values=held.cache, use_cache=True, **options)
        held.tokens.extend(tokens)
        return output

    @contextlib.contextmanager
    def _long_factors(self) -> Iterator[None]:
        """Read with the long factors from the first token on.

        transformers takes the factors by the position of the last token that it is shown: a long text read in
        chunks would begin with the short ones, and leave keys that do not belong together.
        """
        short = [module.original_inv_freq for module in self._rotary]
        for module in self._rotary:
            module.original_inv_freq = module.long_inv_freq
        try:
            yield
        finally:
            for module, factors in zip(self._rotary, short, strict=True):
                module.original_inv_freq = factors

    def _try_out(self) -> int:
        """Read one token: whether it works, and how many bytes of keys and values it leaves."""
        held = KeyValues(long=False)
        held.room.tokens = 1
        with torch.inference_mode():
            self.next(held, [0])
        return held.bytes


def load(folder: Path, device: str = "auto") -> tuple[Model, Any]:
    """The model and the tokenizer in a folder. `device` is `auto` or one of PyTorch's names.

    Float32 on a CPU, where half precision is slower; half precision on a GPU. No code from the folder is run.

    Raises:
        ModelError: the folder is no model that can be served, or the memory does not suffice.
    """
    look_at(folder)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not tokenizer.chat_template:
            raise ModelError(f"The model in {folder} is no chat model: its tokenizer has no chat template.")
        place = _place(device)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=_dtype(place),
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        network, report = loaded
        if missing := report["missing_keys"]:
            raise ModelError(f"The model in {folder} is not complete: {_some(missing)} missing.")
        return Model(network.to(place).eval(), place), tokenizer
    except ModelError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise ModelError(f"There is not enough memory to load the model in {folder}.") from error
        raise ModelError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out; PyTorch on a CPU only says so in words."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)


def first_line(error: BaseException) -> str:
    """What a stray error says, in one line."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _place(device: str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(place: torch.device) -> torch.dtype:
    if place.type == "cpu":
        return torch.float32
    bf16 = place.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if bf16 else torch.float16


def _some(names: Sequence[str] | set[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more are" if rest else f"{first} is"
