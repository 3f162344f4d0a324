"""A model of the Hugging Face hub → a folder: only weights, configs and tokenizer, and never its code."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from phichat.errors import AuthError, BackendError, NotFoundError, PhichatError, UnavailableError
from phichat.models.cache import folder_bytes
from phichat.models.files import Tally, require_room
from phichat.models.refs import ModelRef
from phichat.models.transfer import HubFile, download, is_connection_error, listed

WANTED = ("*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "*.safetensors")
_INDEX = "model.safetensors.index.json"
_TIMEOUT_SECONDS = 30
_CHOOSE = "Choose another model: 'phichat models list'."
_TOKEN = "Store an access token that may read it: 'phichat secret set hf_token'."  # noqa: S105


def fetch(ref: ModelRef, folder: Path, progress: Callable[[int, int], None]) -> tuple[Path, str]:
    """The model in a folder below `folder`, which may hold parts of it; and its id with the commit.

    Raises:
        PhichatError: there is no such model, no network, no room, no right to it, or it needs its own code.
    """
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(
            ref.repo, revision=ref.revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
        )
        commit = str(info.sha)
        files = wanted(listed(sibling) for sibling in info.siblings or ())
        _start_anew_unless(commit, folder)
        return _download_all(ref, commit, files, folder, progress), f"{ref.repo}@{commit}"
    except Exception as error:
        told = translated(error, ref)
        if told is error:
            raise
        raise told from error


def _download_all(
    ref: ModelRef, commit: str, files: list[HubFile], folder: Path, progress: Callable[[int, int], None]
) -> Path:
    """Everything small first: it says which weights are needed, and whether the model can run at all."""
    _refuse_incomplete(ref, {file.name for file in files})
    weights = [file for file in files if file.name.endswith(".safetensors")]
    small = [file for file in files if file not in weights]
    tally = Tally(sum(file.size for file in files), progress)
    model = folder / "model"
    model.mkdir(exist_ok=True)
    _get_all(small, ref.repo, commit, folder, tally)
    refuse_code(model, ref.name)
    weights = _needed_weights(model, weights)
    tally.total = sum(file.size for file in (*small, *weights))
    require_room(folder, tally.total - folder_bytes(folder))
    _get_all(weights, ref.repo, commit, folder, tally)
    return model


def wanted(files: Iterable[HubFile]) -> list[HubFile]:
    """The files that a model needs: of the wanted kinds, at the top of the repository."""
    return [
        file
        for file in files
        if "/" not in file.name and "\\" not in file.name and any(fnmatch(file.name, kind) for kind in WANTED)
    ]


def _refuse_incomplete(ref: ModelRef, names: set[str]) -> None:
    if "config.json" not in names:
        what = "an adapter, not a whole model" if "adapter_config.json" in names else "not a model"
        raise BackendError(f"{ref.name} is {what}: it has no config.json.", _CHOOSE)
    if not any(name.endswith(".safetensors") for name in names):
        raise BackendError(
            f"{ref.name} has no weights in the safetensors format, the only one that cannot hold code.",
            _CHOOSE,
        )


def refuse_code(model: Path, name: str) -> None:
    """Refuse a model that only code from its own repository could run.

    Phi-3's configuration names such code too, but transformers has it built in: the model type decides.

    Raises:
        BackendError: transformers does not know the type of model.
    """
    config = _json(model / "config.json")
    kind = str(config.get("model_type"))
    if _built_in(kind):
        return
    if "auto_map" in config:
        raise BackendError(
            f"{name} ({kind}) needs code from its own repository, which phichat never runs.", _CHOOSE
        )
    raise BackendError(
        f"{name} is of a kind ({kind}) that the installed transformers does not know.",
        "Update it: 'pip install -U transformers'.",
    )


def _built_in(kind: str) -> bool:
    """Whether transformers has the type of model; its own folder answers without 3 s of importing it."""
    spec = importlib.util.find_spec("transformers")
    if spec and spec.origin and kind.isidentifier() and (Path(spec.origin).parent / "models" / kind).is_dir():
        return True
    from transformers import CONFIG_MAPPING

    return kind in CONFIG_MAPPING


def _start_anew_unless(commit: str, folder: Path) -> None:
    """Keep what is there only if it comes from the same commit."""
    note = folder / "commit"
    if not note.is_file() or note.read_text(encoding="utf-8") != commit:
        shutil.rmtree(folder)
        folder.mkdir()
        note.write_text(commit, encoding="utf-8")


def _needed_weights(model: Path, weights: list[HubFile]) -> list[HubFile]:
    """Of two copies of the weights, one: the files of the index, else `model.safetensors`, else all."""
    if (model / _INDEX).is_file():
        names = set(_json(model / _INDEX)["weight_map"].values())
    else:
        names = {"model.safetensors"} & {file.name for file in weights}
    return [file for file in weights if not names or file.name in names]


def _get_all(files: Iterable[HubFile], repo: str, commit: str, folder: Path, tally: Tally) -> None:
    """Put the files into the model's folder; what is there already has been checked."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    for file in files:
        final = folder / "model" / file.name
        part = folder / f"{file.name}.part"
        if final.is_file():
            tally.add(file.size)
            continue
        if not part.is_file():
            _borrow(repo, commit, file, part)
        if part.is_file():
            tally.add(part.stat().st_size)
        download(file, hf_hub_url(repo, file.name, revision=commit), build_hf_headers(), part, tally.add)
        part.replace(final)


def _borrow(repo: str, commit: str, file: HubFile, part: Path) -> None:
    """Take a file that another program has already put into the hub's own cache."""
    from huggingface_hub import try_to_load_from_cache

    known = try_to_load_from_cache(repo, file.name, revision=commit)
    if isinstance(known, str) and Path(known).stat().st_size == file.size:
        source = Path(known).resolve()
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)


def translated(error: Exception, ref: ModelRef) -> Exception:
    """The hub's error as one sentence and what to do; another error as it is."""
    from huggingface_hub import HfApi, errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return UnavailableError(
            f"{ref.name} is not on this machine, and HF_HUB_OFFLINE forbids to download it.",
            "Unset HF_HUB_OFFLINE.",
        )
    if isinstance(error, errors.GatedRepoError):
        return AuthError(
            f"{ref.name} is behind a licence that you have not accepted.",
            f"Accept it at {HfApi().endpoint}/{ref.repo}. {_TOKEN}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(
            f"The hub has no model {ref.repo}, or it is private.",
            f"Check the name. If it is private: {_TOKEN}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(
            f"{ref.repo} has no revision {ref.revision}.", "Check the commit, tag or branch."
        )
    if isinstance(error, errors.HfHubHTTPError):
        return _refused(error, ref)
    if is_connection_error(error):
        return UnavailableError(
            f"{ref.name} cannot be downloaded: the hub cannot be reached.", "Check the network."
        )
    return error


def _refused(error: Any, ref: ModelRef) -> PhichatError:
    status = error.response.status_code
    if status in (401, 403):
        return AuthError(f"The hub does not let you download {ref.name} (status {status}).", _TOKEN)
    if status == 429 or status >= 500:
        return UnavailableError(f"The hub cannot answer now (status {status}).", "Run it again in a minute.")
    return BackendError(
        f"The hub refused {ref.name} (status {status}).", "Check the name: 'phichat models list'."
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
