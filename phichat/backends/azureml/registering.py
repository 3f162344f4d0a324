"""Models as the workspace registers them: from a job's output with where it comes from, or from here."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat import models
from phichat.backends.absent import no_model
from phichat.backends.azureml import assets
from phichat.backends.azureml.assets import TOP, Asset
from phichat.backends.azureml.command import run_folder
from phichat.backends.azureml.fetching import FACTS
from phichat.backends.base import DeploySpec, Job
from phichat.errors import BackendError, ConfigError, NotFoundError
from phichat.paths import user_folders

if TYPE_CHECKING:
    from phichat.backends.azureml.jobs import Attempt, Jobs
    from phichat.backends.azureml.storage import Storage
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report

API = "2023-08-01-preview"
QUESTIONS = 2
"""Held-out questions that a new deployment has to answer before anybody else asks it."""
LETTERS = 500
"""Of each, at most: a token has one letter or more, seldom less, so that this fits any model's context."""
HELLO = "Hello! Who are you?"
"""Asked where nothing was held out."""


class Model(NamedTuple):
    """A model that can be registered, or is."""

    title: str
    """What people call it: the run, or the model's alias."""
    name: str
    version: str
    job: Attempt | None
    asset: Asset | None
    """Its files on this machine, where no job has made it; None before they are there."""

    @property
    def path(self) -> str:
        """Where it is registered, below the workspace."""
        return f"models/{self.name}/versions/{self.version}"

    @property
    def label(self) -> str:
        """What people read."""
        return f"{self.name}:{self.version}" if self.version else self.name


async def model_of(spec: DeploySpec, jobs: Jobs, report: Report, *, pull: bool) -> Model:
    """The model that is to be deployed; `pull`: weights that no job has made are fetched first.

    Raises:
        NotFoundError: there is no such job or model, or the job has made none.
    """
    if isinstance(spec.model, Job):
        last = (await jobs.attempts(spec.model.id))[-1]
        if last.state != "completed":
            raise no_model(spec.model.id, last.state)
        return Model(spec.model.id, spec.model.id, str(last.number), last, None)
    try:
        ref = await asyncio.to_thread(models.resolve, spec.model)
    except ConfigError as error:
        raise NotFoundError(error.message, error.hint) from error
    cache = user_folders().cache
    folder = ref.folder or models.cached(ref, cache)
    if folder is None and pull:
        folder = await models.pull(ref, cache, report)
    if folder is None:
        return Model(ref.name, ref.name, "", None, None)
    title = folder.name if ref.folder else ref.name
    asset = await asyncio.to_thread(assets.weights, title, folder)
    return Model(title, asset.name, asset.version, None, asset)


async def there(workspace: Workspace, model: Model) -> bool:
    """Whether the workspace has registered it."""
    if not model.version:
        return False
    return await workspace.find(model.path, API, f"look up the model {model.label}") is not None


async def register(workspace: Workspace, model: Model, report: Report) -> None:
    """Register the model with its lineage: the job that made it, its base, data, template and results.

    Raises:
        NotFoundError: the job has left no model behind.
    """
    tags = {"phichat": workspace.account.project}
    properties: dict[str, Any] = {"isAnonymous": False, "isArchived": False}
    if model.job is not None:
        storage = await workspace.storage()
        try:
            facts = await _facts(workspace, storage, model)
        finally:
            storage.close()
        uri = f"azureml://jobs/{model.job.name}/outputs/run/paths/model"
        told = {"modelType": "mlflow_model", "modelUri": uri, "jobName": model.job.name}
        properties |= {**told, "description": f"Made by the job {model.job.name}."}
        tags |= _lineage(facts)
    else:
        assert model.asset is not None, "its weights were fetched before"
        uri = await assets.bring(workspace, model.asset, report, plain=False)
        properties |= {"modelType": "custom_model", "modelUri": uri, "description": model.title}
    body = {"properties": {**properties, "tags": tags}}
    await workspace.put(model.path, API, body, f"register the model {model.label}")


async def template_of(workspace: Workspace, model: Model) -> str:
    """The hash of the chat template that the registered model was trained with; empty where unknown."""
    found = await workspace.find(model.path, API, f"look up the model {model.label}")
    return str(((found or {}).get("properties", {}).get("tags") or {}).get("template", ""))


async def questions(workspace: Workspace, model: Model) -> list[str]:
    """What to ask a new deployment: the first questions that were held out when its model was trained."""
    found: list[str] = []
    data = model.job.data if model.job else ""
    if data:
        storage = await workspace.storage()
        try:
            name = f"{TOP}/{data}/eval.jsonl"
            head = await workspace.run("read held-out questions", lambda: storage.head(name))
        finally:
            storage.close()
        found = _asked(head.decode("utf-8", errors="replace"))
    return found or [HELLO]


def _asked(rows: str) -> list[str]:
    found = []
    # The last line may have been cut off.
    for line in rows.split("\n")[:-1][:QUESTIONS]:
        turns = json.loads(line)["messages"]
        found += [turn["content"][:LETTERS] for turn in turns if turn["role"] == "user"][:1]
    return found


async def _facts(workspace: Workspace, storage: Storage, model: Model) -> dict[str, Any]:
    top = f"{run_folder(model.name)}/model"
    found = await workspace.run("list the model's files", lambda: storage.found(top))
    if FACTS not in found:
        raise NotFoundError(f"The job {model.name!r} has left no model.", f"phichat logs {model.name}")
    text = await workspace.run("read what the model is", lambda: storage.head(f"{top}/{FACTS}"))
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise BackendError(f"{FACTS} of {model.name!r} is no JSON.", "phichat train --again") from error
    return told


def _lineage(facts: dict[str, Any]) -> dict[str, str]:
    """The tags that say what a model comes from and how good it is; Azure's tags are texts of 256 letters."""
    told = {
        "base_model": facts.get("base_model"),
        "revision": facts.get("revision"),
        "data": (facts.get("data") or {}).get("fingerprint"),
        "template": facts.get("template_sha256"),
    }
    results = {**facts, **(facts.get("training") or {})}
    told |= {name: results.get(name) for name in ("loss", "eval_loss", "steps")}
    return {name: str(value)[:256] for name, value in told.items() if value not in (None, "")}
