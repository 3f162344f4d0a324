"""Preparing data as a person chooses: what is offered, what was chosen last, and the same as a command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phichat.backends.base import Written
from phichat.data.base_model import model_files
from phichat.data.options import DataOptions
from phichat.data.prepare import prepare
from phichat.events import Event
from phichat.paths import write_atomic
from phichat.workflow.recipe import row_length

if TYPE_CHECKING:
    from phichat.data import Prepared
    from phichat.workflow import Project

CHOSEN_FILE = "chosen.json"
"""Inside the project's data folder: what was chosen the last time."""
CONFIGURED = ("split", "test_size", "seed", "max_length")
"""Options that `[data]` of the configuration says."""


class Chosen(Written):
    """A source and how to read, check and divide it."""

    source: str = ""
    options: DataOptions = DataOptions()

    def with_options(self, **changes: Any) -> Chosen:
        """The same source with other options."""
        return Chosen(source=self.source, options=self.options.model_copy(update=changes))


def configured(project: Project) -> Chosen:
    """What the configuration says, and nothing else."""
    data = project.config.data
    options = {name: getattr(data, name) for name in CONFIGURED}
    return Chosen(source=data.source or "", options=DataOptions.model_validate(options))


def chosen(project: Project) -> Chosen:
    """What was chosen the last time, or what is configured."""
    with suppress(OSError, ValueError):
        text = (folder(project) / CHOSEN_FILE).read_text(encoding="utf-8")
        return Chosen.model_validate_json(text)
    return configured(project)


def folder(project: Project) -> Path:
    """Where a project's data is."""
    return project.state / "data"


def whole(project: Project, options: DataOptions) -> DataOptions:
    """The options with what the base model brings, how long training lets rows be, and the cache."""
    cache = project.folders.cache
    keeps = row_length(project.config, project.base_model, options.max_length)
    model = model_files(project.base_model, cache).model_copy(update={"keeps": keeps})
    return options.model_copy(update={"model": model, "cache": cache / "datasets"})


async def prepare_chosen(project: Project, wanted: Chosen, report: Callable[[Event], None]) -> Prepared:
    """Prepare, and remember what was chosen.

    Raises:
        BadRowsError: some rows have errors and are not to be left out.
        DataError: the source cannot be read.
        ConfigError: an option is wrong, or there is no such base model.
    """
    if wanted.source != "-":
        _remember(project, wanted)
    return await prepare(wanted.source, whole(project, wanted.options), folder(project), report)


def _remember(project: Project, wanted: Chosen) -> None:
    path = Path(wanted.source).expanduser()
    if path.exists():  # the next time may begin in another folder
        wanted = wanted.model_copy(update={"source": str(path.absolute())})
    folder(project).mkdir(parents=True, exist_ok=True)
    write_atomic(folder(project) / CHOSEN_FILE, wanted.model_dump_json(indent=1) + "\n")


def findings(prepared: Prepared, *, refused: bool) -> Iterator[str]:
    """The options by which what was found, and only reported, can be mended."""
    counts, treated = prepared.manifest.counts, prepared.manifest.treated
    if refused and counts.bad < counts.read:
        yield "skip_bad"
    for name, count in (
        ("duplicates", counts.duplicates),
        ("near_duplicates", counts.near_duplicates),
        ("leakage", counts.leaked),
        ("personal", counts.personal_rows),
    ):
        if count and not refused and treated.get(name) == "report":
            yield name


def command(wanted: Chosen, usual: Chosen) -> str:
    """The same as a command; what is `usual` there needs no flag."""
    return shlex.join(["phichat", "data", wanted.source or "SOURCE", *_flags(wanted.options, usual.options)])


def _flags(options: DataOptions, usual: DataOptions) -> Iterator[str]:
    if options.columns:
        yield from ("--map", ",".join(f"{role}={column}" for role, column in options.columns.items()))
    if options.skip_bad:
        yield "--skip-bad"
    if not options.tokens:
        yield "--no-tokens"
    for name in ("format", "subset", "revision", "duplicates", "near_duplicates", "leakage", "personal"):
        if getattr(options, name) != DataOptions.model_fields[name].default:
            yield from (f"--{name.replace('_', '-')}", str(getattr(options, name)))
    for name in CONFIGURED:
        value = getattr(options, name)
        if value != getattr(usual, name) and value is not None:
            yield from (f"--{name.replace('_', '-')}", str(value))
