"""A dataset of the Hugging Face hub → one file of its rows in the cache, pinned by commit.

Only the files of the named splits are downloaded, and the rows that a split expression chooses are kept as
JSON lines: a second run needs neither the network nor the `datasets` library.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from phichat.data.options import DataOptions
from phichat.errors import DataError
from phichat.events import Event, Step
from phichat.paths import write_atomic

BATCH = 512
_TIMEOUT_SECONDS = 20
_INSTALL = "pip install 'phichat[data]'"
Report = Callable[[Event], None]


@dataclass(frozen=True)
class HubRows:
    """The chosen rows of a dataset, on this machine."""

    path: Path
    label: str
    """The split expression."""


def rows_file(repo: str, options: DataOptions, report: Report) -> tuple[HubRows, str]:
    """The rows that the options choose, downloaded unless they are there, and the commit they are of.

    Raises:
        DataError: no such dataset, subset or split; no network and nothing in the cache; no right to it.
    """
    cache = (options.cache or Path(tempfile.gettempdir()) / "phichat-datasets").absolute()
    # The library's own default is below the person's home. Said before it is imported.
    os.environ.setdefault("HF_HUB_CACHE", str(cache / "hub"))
    commit, offline = _pinned(repo, options, cache)
    file = cache / f"{repo.replace('/', '--')}-{_key(repo, commit, options)}.jsonl"
    chosen = options.split or ""
    if file.is_file():
        report(Step(name=f"download {repo}", state="reused", detail=f"{commit[:12]} {chosen}".rstrip()))
        return HubRows(file, chosen), commit
    if offline:
        raise _not_here(repo)
    report(Step(name=f"download {repo}", state="running", detail=f"{commit[:12]} {chosen}".rstrip()))
    chosen = _download(repo, commit, options, file)
    report(Step(name=f"download {repo}", state="done", detail=f"{commit[:12]} {chosen}"))
    return HubRows(file, chosen), commit


def _key(repo: str, commit: str, options: DataOptions) -> str:
    named = "\n".join((repo, commit, options.subset or "", options.split or ""))
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _pinned(repo: str, options: DataOptions, cache: Path) -> tuple[str, bool]:
    """The commit that the revision stands for; without a network (true), the one it stood for last."""
    note = cache / "commits.json"
    known: dict[str, str] = msgspec.json.decode(note.read_bytes()) if note.is_file() else {}
    asked = f"{repo}@{options.revision or ''}"
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise DataError("The package datasets, which reads the hub, is not installed.", _INSTALL) from error
    try:
        info = HfApi().dataset_info(repo, revision=options.revision, timeout=_TIMEOUT_SECONDS)
    except Exception as error:
        if _unreachable(error) and asked in known:
            return known[asked], True
        raise _told(error, repo, options) from error
    commit = str(info.sha)
    if known.get(asked) != commit:
        write_atomic(note, msgspec.json.encode({**known, asked: commit}).decode())
    return commit, False


def _download(repo: str, commit: str, options: DataOptions, file: Path) -> str:
    """Write the chosen rows to `file`, whole or not at all; returns the split expression."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".arrow-") as scratch:
        os.environ["HF_DATASETS_CACHE"] = scratch
        try:
            import datasets  # type: ignore[import-untyped]
        except ImportError as error:
            raise DataError(
                "The package datasets, which reads the hub, is not installed.", _INSTALL
            ) from error
        datasets.disable_progress_bars()
        try:
            expression, loaded = _load(datasets, repo, commit, options, scratch)
        except DataError:
            raise
        except Exception as error:
            raise _told(error, repo, options) from error
        part = Path(scratch) / "rows.jsonl"
        with part.open("wb") as out:
            for batch in loaded.with_format("arrow").iter(batch_size=BATCH):
                out.writelines(msgspec.json.encode(row) + b"\n" for row in batch.to_pylist())
        part.replace(file)
        return expression


def _load(datasets: Any, repo: str, commit: str, options: DataOptions, scratch: str) -> tuple[str, Any]:
    builder = datasets.load_dataset_builder(repo, options.subset, revision=commit, cache_dir=scratch)
    files: Mapping[str, list[str]] = builder.config.data_files or {}
    expression = options.split or _only(list(files), repo)
    wanted = {name: list(files[name]) for name in _splits(datasets, expression, files, repo)}
    return expression, datasets.load_dataset(
        repo, data_files=wanted, split=expression, revision=commit, cache_dir=scratch
    )


def _only(splits: list[str], repo: str) -> str:
    """The one split of a dataset that has no other."""
    if len(splits) == 1:
        return splits[0]
    raise DataError(f"{repo} has several splits: {', '.join(splits)}.", f"Choose with --split '{splits[0]}'")


def _splits(datasets: Any, expression: str, files: Mapping[str, Any], repo: str) -> Iterator[str]:
    """The splits that an expression such as `train_sft[:1%]+test_sft` names."""
    try:
        parsed = datasets.ReadInstruction.from_spec(expression)
    except Exception as error:
        told = f"{expression!r} is no split expression."
        raise DataError(told, "For example --split 'train[:1%]'") from error
    # The library offers no public way to ask which splits an instruction names.
    for name in dict.fromkeys(part.splitname for part in parsed._relative_instructions):
        if name not in files:
            raise DataError(f"{repo} has no split {name!r}.", f"It has: {', '.join(files)}")
        yield name


def _unreachable(error: BaseException) -> bool:
    """Whether nobody answered; huggingface_hub brings httpx under one name or another."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"TransportError", "OfflineModeIsEnabled"})


def _not_here(repo: str) -> DataError:
    told = f"These rows of {repo} are not on this machine, and the hub cannot be reached."
    return DataError(told, "Check the network, and HF_HUB_OFFLINE.")


def _told(error: Exception, repo: str, options: DataOptions) -> DataError:
    """The hub's error as one sentence and what to do."""
    from huggingface_hub import errors

    if _unreachable(error):
        return _not_here(repo)
    if isinstance(error, errors.GatedRepoError):
        accept = "Accept its terms on the hub, and store a token: phichat secret set hf_token"
        return DataError(f"{repo} is behind terms that you have not accepted.", accept)
    if isinstance(error, errors.RevisionNotFoundError):
        return DataError(f"{repo} has no revision {options.revision!r}.", "Check the commit, tag or branch.")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = "Check the name. If it is private: phichat secret set hf_token"
        return DataError(f"There is no file {repo!r}, and no such dataset on the hub.", hint)
    first = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return DataError(f"{repo} cannot be read from the hub: {first[0]}", "Check --subset and --split.")
