"""What the configuration names, looked at before anything begins: the model, the data, how to train."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phichat import models
from phichat.backends.base import Check, Dataset, DeploySpec, TrainSpec
from phichat.errors import PhichatError
from phichat.workflow.estimates import tight

if TYPE_CHECKING:
    from phichat.config import Config
    from phichat.workflow import Project


def check_written(project: Project) -> list[Check]:
    """What of the configuration names nothing that is there."""
    found = [*_strays(project.config, project.registry.names()), *_source(project.config)]
    try:
        models.resolve(project.base_model)
    except PhichatError as error:
        found.append(_failed("base_model", error))
    return found


async def check_with_backend(project: Project) -> list[Check]:
    """What of the configuration the backend would refuse when the work begins."""
    return [*await _answering(project), *await _training(project)]


def _strays(config: Config, installed: Sequence[str]) -> Iterator[Check]:
    """The tables of backends that are not installed: a slip of the pen, or a plugin of somebody else's."""
    for name in config.backends:
        if name in installed:
            continue
        told = f"no backend {name!r} is installed, so nobody reads [backends.{name}]"
        meant = difflib.get_close_matches(name, installed, n=1)
        fix = f"Did you mean [backends.{meant[0]}]?" if meant else ""
        yield Check(name="configuration", ok=not meant, detail=told, fix=fix)


def _source(config: Config) -> Iterator[Check]:
    from phichat.data.sources import missing

    if config.data.source and (error := missing(config.data.source)):
        yield _failed("data.source", error)


async def _answering(project: Project) -> list[Check]:
    """Whether the base model finds room to answer; what is deployed already has found it."""
    try:
        estimate = await project.estimate(DeploySpec(name="base", model=project.base_model))
        if not tight(estimate) or await project.deployments():
            return []
    except PhichatError:
        return []  # what the backend cannot do is told by its own checks
    assert estimate.memory_bytes is not None and estimate.memory_free is not None
    least, free = (each / 2**30 for each in (estimate.memory_bytes[0], estimate.memory_free))
    told = f"{project.base_model} takes {least:.1f} GiB to answer, and {free:.1f} GiB are free"
    return [
        Check(name="room", ok=False, detail=told, fix="Close other programs, or choose a smaller base_model.")
    ]


async def _training(project: Project) -> list[Check]:
    """Whether the place can train by the method that is asked for, whatever the data."""
    method = project.config.train.method
    if method is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text("{}\n", encoding="utf-8")
        dataset = Dataset(train_file=rows, train_rows=1)
        spec = TrainSpec(
            name="check", dataset=dataset, base_model=project.base_model, hyperparameters={"method": method}
        )
        try:
            estimate = await project.estimate(spec)
        except PhichatError:
            return []
    if not estimate.refusal:
        return []
    fix = estimate.hint or "Choose another method under [train]."
    return [Check(name="train.method", ok=False, detail=estimate.refusal, fix=fix)]


def _failed(name: str, error: PhichatError) -> Check:
    return Check(name=name, ok=False, detail=error.message, fix=error.hint)
