"""A name that a person writes → a reference to one base model: of the catalogue, of the hub, or a folder."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from phichat.errors import ConfigError
from phichat.models.catalogue import CatalogueEntry, catalogue

_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>\S+))?")
_HUB_PAGE = re.compile(r"https://(?:huggingface\.co|hf\.co)/(?P<repo>[\w.-]+/[\w.-]+)(/.*)?")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_LIST = "List the models with 'phichat models list'."


class ModelRef(BaseModel):
    """One base model at one place; equal references are the same weights."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What people read and write: the alias, hub id or path."""
    key: str
    """Names its folder in the cache; empty for a folder of the person's own."""
    entry: CatalogueEntry | None = None
    repo: str = ""
    """The hub's `org/name`, where the weights come from the hub."""
    revision: str = ""
    """Commit, tag or branch on the hub."""
    folder: Path | None = None
    """The person's own folder, absolute."""

    @property
    def title(self) -> str:
        """What people read in a sentence."""
        return self.entry.title if self.entry else self.name


def resolve(name: str) -> ModelRef:
    """The model that `name` means: an alias, an existing folder, or `org/name[@revision]` of the hub.

    Raises:
        ConfigError: nothing is called so, or the folder is not a whole model.
    """
    entry = catalogue().get(name.lower())
    if entry:
        return _from_catalogue(entry)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _from_folder(name, folder)
    if page := _HUB_PAGE.fullmatch(name):
        raise ConfigError(f"{name} is a page, not a model's name.", f"Name it as {page['repo']}")
    hub = _HUB_ID.fullmatch(name)
    if hub and not name.startswith((".", "~")):
        return _from_hub(hub["repo"], hub["revision"])
    if _looks_like_a_path(name):
        raise ConfigError(f"There is no model folder {name}.", _LIST)
    raise ConfigError(f"There is no model called {name!r}.", _suggestion(name))


def _from_catalogue(entry: CatalogueEntry) -> ModelRef:
    if entry.package:
        key = f"{entry.alias}-{entry.package.version}-{entry.package.file_sha256[:12]}"
        return ModelRef(name=entry.alias, key=key, entry=entry)
    assert entry.revision is not None
    return ModelRef(
        name=entry.alias,
        key=_hub_key(entry.hub_id, entry.revision),
        entry=entry,
        repo=entry.hub_id,
        revision=entry.revision,
    )


def _from_hub(repo: str, revision: str | None) -> ModelRef:
    for entry in catalogue().values():
        known = entry.package is None and entry.hub_id.lower() == repo.lower()
        if known and revision in (None, entry.revision):
            return _from_catalogue(entry)
    name = f"{repo}@{revision}" if revision else repo
    return ModelRef(name=name, key=_hub_key(repo, revision or "main"), repo=repo, revision=revision or "main")


def _hub_key(repo: str, revision: str) -> str:
    # The hub allows no "--" in a name, and a branch may hold what a file name may not.
    escaped = re.sub(r"[^\w.-]", lambda match: f"%{ord(match[0]):02x}", revision)
    return f"{repo.replace('/', '--')}@{escaped}"


def _from_folder(name: str, folder: Path) -> ModelRef:
    fault = fault_of(folder)
    if fault:
        raise ConfigError(f"The folder {name} is not a whole model: {fault}.", _LIST)
    return ModelRef(name=name, key="", folder=folder.resolve())


def _looks_like_a_path(name: str) -> bool:
    return any(separator in name for separator in "/\\") or name.startswith((".", "~"))


def _suggestion(name: str) -> str:
    typed = _letters(name)
    longer = [alias for alias in catalogue() if typed and _letters(alias).startswith(typed)]
    shorter = sorted(
        (alias for alias in catalogue() if typed.startswith(_letters(alias))), key=len, reverse=True
    )
    near = longer or shorter or difflib.get_close_matches(name.lower(), catalogue(), n=1, cutoff=0.5)
    known = ", ".join(catalogue())
    guess = f"Did you mean {near[0]}? " if near else ""
    return f"{guess}Known are {known}; or name a hub model as org/name, or a folder."


def _letters(name: str) -> str:
    """What stays of a name when nothing is made of how its parts are joined."""
    return re.sub(r"[\W_]", "", name.lower())


def fault_of(folder: Path) -> str:
    """What keeps a folder from being a whole model, as a clause; empty when nothing does."""
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            return "it holds an adapter; merge it with its base model first"
        return "config.json is missing"
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return f"a tokenizer is missing ({' or '.join(_TOKENIZERS[:2])})"
    try:
        weights = weight_files(folder)
    except ValueError:
        return "model.safetensors.index.json is not readable"
    if not weights:
        return "weights are missing (*.safetensors)"
    for path in weights:
        if not path.is_file():
            return f"{path.name} is missing"
        if not whole(path):
            return f"{path.name} is cut short"
    return ""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that a model folder needs, whether or not they are there.

    Raises:
        ValueError: the index of the weights is not readable.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        return [folder / name for name in sorted(set(_json(index)["weight_map"].values()))]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its own header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return False
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return size == 8 + length + max(ends, default=0)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
