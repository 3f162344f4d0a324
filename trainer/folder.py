"""Where a model lies, and whether it can be one: all that can be said without loading it."""

from __future__ import annotations

from pathlib import Path

from contract import ModelError


def find(folder: Path) -> Path:
    """The model in a folder, or in the one below it that is nearest and holds a model.

    Azure Machine Learning mounts a registered model somewhere below `AZUREML_MODEL_DIR`.
    """
    if (folder / "config.json").is_file():
        return folder
    below = sorted(folder.rglob("config.json"), key=lambda path: (len(path.parts), path))
    complete = [path.parent for path in below if (path.parent / "tokenizer_config.json").is_file()]
    return complete[0] if complete else folder


def look_at(folder: Path) -> None:
    """See that the folder holds a whole model.

    Raises:
        ModelError: it does not; says what is missing.
    """
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.")
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(f"The folder {folder} holds an adapter without its base model: merge it first.")
        raise ModelError(f"The folder {folder} holds no model: there is no config.json in it.")
    if not any(path.suffix in (".safetensors", ".bin") for path in folder.iterdir()):
        raise ModelError(f"The model in {folder} has no weights: there is no .safetensors file in it.")
