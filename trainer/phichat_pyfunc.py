"""Loads a model folder for MLflow: `mlflow.pyfunc.load_model` finds this file inside the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from answering import answers


class Chat:
    """Answers conversations with the model in a folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, **options)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> list[str]:
        """One answer for each conversation in the column or key `messages`."""
        given = params or {}
        return answers(
            self._model,
            self._tokenizer,
            _conversations(model_input),
            ends=self._ends(),
            max_new_tokens=int(given.get("max_new_tokens") or 128),
            **self._sampling(given),
        )

    def _ends(self) -> list[int]:
        ends = self._model.generation_config.eos_token_id
        return [ends] if isinstance(ends, int) else list(ends)

    def _sampling(self, params: Mapping[str, Any]) -> dict[str, Any]:
        temperature = float(params.get("temperature") or 0.0)
        if not temperature:
            return {}
        import torch

        torch.manual_seed(int(params.get("seed") or 0))
        return {
            "do_sample": True,
            "temperature": temperature,
            "top_p": float(params.get("top_p") or 1.0),
            "top_k": 0,
        }


def _conversations(model_input: Any) -> list[list[dict[str, str]]]:
    given = model_input["messages"]
    # MLflow makes a data frame of everything that matches the signature; a dictionary may hold just one chat.
    rows = given.tolist() if hasattr(given, "tolist") else list(given)
    if rows and isinstance(rows[0], Mapping):
        rows = [rows]
    return [[{"role": turn["role"], "content": turn["content"]} for turn in row] for row in rows]


def _load_pyfunc(path: str) -> Chat:
    """What MLflow calls, with the folder of the model, or of a reference to it."""
    folder = Path(path)
    reference = folder / "reference.json"
    if reference.is_file():
        folder = Path(json.loads(reference.read_text(encoding="utf-8"))["folder"])
    return Chat(folder)
