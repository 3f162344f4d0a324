"""The model card: what the model is, how good it is, and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def render(facts: Mapping[str, Any]) -> str:
    """The card as Markdown with the header that model hubs read."""
    parts = [
        _header(facts),
        _what(facts),
        _use(),
        _numbers(facts),
        _evaluation(facts.get("evaluation") or {}),
        _probes(facts.get("probes") or []),
        _again(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(facts: Mapping[str, Any]) -> str:
    lines = ["---", "library_name: transformers", "pipeline_tag: text-generation", "tags: [phichat]"]
    if not facts["base_model_is_folder"]:
        lines.append(f"base_model: {facts['base_model']}")
    return "\n".join([*lines, "---"])


def _what(facts: Mapping[str, Any]) -> str:
    kind = {"full": "All weights of", "lora": "LoRA on", "qlora": "QLoRA on"}[facts["settings"]["method"]]
    revision = f", revision `{facts['revision']}`" if facts["revision"] else ""
    return (
        f"# {facts['name'] or 'A fine-tuned chat model'}\n\n"
        f"{kind} `{_base(facts)}`{revision}, trained on {facts['data']['train_rows']} conversations "
        "with phichat. The base model's licence and limits apply to it."
    )


def _base(facts: Mapping[str, Any]) -> str:
    """What the base model is called: of a folder only its own name."""
    name: str = facts["base_model"]
    return Path(name).name if facts["base_model_is_folder"] else name


def _use() -> str:
    return (
        "## Use\n\n```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained(".")\n'
        'model = AutoModelForCausalLM.from_pretrained(".")\n'
        'chat = [{"role": "user", "content": "Hello!"}]\n'
        'inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")\n'
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))\n```\n\n"
        'It is a model of MLflow, too: `mlflow.pyfunc.load_model(folder).predict({"messages": chat})`.'
    )


def _numbers(facts: Mapping[str, Any]) -> str:
    rows = [(name.replace("_", " "), value) for name, value in facts["training"].items() if value is not None]
    return "## Training\n\n" + _table(("", ""), [(name, _number(value)) for name, value in rows])


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    if not evaluation:
        return ""
    models = [name for name in ("base", "tuned") if name in evaluation]
    names = sorted({name for model in models for name in evaluation[model]})
    rows = [
        (name.replace("_", " "), *(_number(evaluation[model].get(name)) for model in models))
        for name in names
    ]
    return "## Evaluation on held-out conversations\n\n" + _table(("", *models), rows)


def _probes(probes: Iterable[Mapping[str, Any]]) -> str:
    rows = [(probe["prompt"], probe["answer"]) for probe in probes]
    return "## What it answers\n\n" + _table(("question", "answer"), rows) if rows else ""


def _again(facts: Mapping[str, Any]) -> str:
    # Where things lie on the machine that trained is nobody's business.
    places = {"base_model": _base(facts), "mlflow_tracking_uri": ""}
    parts = {
        "data": facts["data"],
        "base model's weights (SHA-256)": facts["base_weights_sha256"],
        "chat template (SHA-256)": facts["template_sha256"],
        "versions": facts["versions"],
        "settings": facts["settings"] | places,
    }
    said = "\n\n".join(
        f"{name}:\n\n```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"
        for name, value in parts.items()
    )
    return f"## How to make it again\n\n`train.py --config` with these settings, on this data.\n\n{said}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
