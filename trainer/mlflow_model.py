"""Makes a model folder one of MLflow's too, without copying the weights and without loading MLflow."""

from __future__ import annotations

import json
import platform
import shutil
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
CODE = ("phichat_pyfunc.py", "answering.py")
"""What travels in the folder and loads the model there."""
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")

INPUTS = [
    {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "role": {"type": "string", "required": True},
                "content": {"type": "string", "required": True},
            },
        },
        "name": "messages",
        "required": True,
    }
]
OUTPUTS = [{"type": "string", "required": True}]
PARAMS = [
    {"name": "max_new_tokens", "type": "long", "default": 128, "shape": None},
    {"name": "temperature", "type": "double", "default": 0.0, "shape": None},
    {"name": "top_p", "type": "double", "default": 1.0, "shape": None},
    {"name": "seed", "type": "long", "default": 0, "shape": None},
]
"""Without them in the signature MLflow drops a caller's parameters without a word."""

MLMODEL = """\
flavors:
  python_function:
    code: code
    data: .
    env:
      virtualenv: python_env.yaml
    loader_module: phichat_pyfunc
    python_version: {python}
signature:
  inputs: {inputs}
  outputs: {outputs}
  params: {params}
"""


def write(folder: Path) -> None:
    """Put MLflow's description, and the code that loads the model, into the model's folder."""
    (folder / "code").mkdir(exist_ok=True)
    for name in CODE:
        shutil.copyfile(HERE / name, folder / "code" / name)
    text = MLMODEL.format(
        python=platform.python_version(),
        # A JSON text in single quotes is a YAML string; none of these holds a single quote.
        **{
            name: f"'{json.dumps(value)}'"
            for name, value in (("inputs", INPUTS), ("outputs", OUTPUTS), ("params", PARAMS))
        },
    )
    (folder / "MLmodel").write_text(text, encoding="utf-8")
    packages = [f"{name}=={_release(name)}" for name in PACKAGES]
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n", encoding="utf-8")
    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n", encoding="utf-8"
    )


def refer(folder: Path, model: Path) -> None:
    """Write a folder that MLflow loads as the model, but that only says where the model lies."""
    write(folder)
    (folder / "reference.json").write_text(json.dumps({"folder": str(model.absolute())}), encoding="utf-8")


def _release(package: str) -> str:
    """The version without its local part, which names a build and no release: `2.13.0+cpu` is 2.13.0."""
    return metadata.version(package).partition("+")[0]
