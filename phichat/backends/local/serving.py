"""The deployments of this machine: which model each serves, and the key that lets clients in."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Literal

import psutil

from phichat import models
from phichat.backends.base import (
    Access,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    Job,
    Report,
    Resource,
    Value,
)
from phichat.backends.local.checks import GIB
from phichat.backends.local.forecast import on_gpu, to_answer
from phichat.backends.local.servers import ModelServers
from phichat.backends.local.settings import LocalSettings
from phichat.backends.local.training import FACTS
from phichat.backends.locks import locked
from phichat.errors import BackendError, ConfigError, NotFoundError
from phichat.events import Step, unheard
from phichat.paths import bundled, write_atomic

HOST = "127.0.0.1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Record(Value):
    """What is remembered of a deployment; the key is in a file of its own that only the owner can read."""

    spec: DeploySpec
    path: Path
    title: str


class Serving:
    """Deployments by name, each a folder that says what to serve, and a server process."""

    def __init__(
        self, settings: LocalSettings, workdir: Path, cache: Path, trained: Callable[[str], Path]
    ) -> None:
        self._settings = settings
        self._directory = workdir / "deployments"
        self._locks = workdir / "locks"
        self._servers = ModelServers(workdir / "servers")
        self._cache = cache
        self._trained = trained
        """Gives the folder of the model that a job has made."""

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        """Start the model's server, or find it; one that serves another model is replaced."""
        lock = self._lock(spec.name)
        record = await self._record_of(spec, report)
        report(Step(name="server", state="running", detail=record.title))
        async with locked(lock):
            try:
                state = await self._serve(record, report)
            except BackendError:
                report(Step(name="server", state="failed", detail=record.title))
                raise
        report(Step(name="server", state=state, detail=record.title))
        return Deployment(id=spec.name, url=self._servers.url(spec.name) or "")

    def steps(self, spec: DeploySpec) -> list[Step]:
        """What `deploy` would do now."""
        state: Literal["reused", "planned"] = "reused" if self._servers.runs(spec.name) else "planned"
        return [
            self.model_step(spec.model),
            Step(name="server", state=state, detail=f"{spec.name} on {HOST}"),
        ]

    def model_step(self, model: Job | str) -> Step:
        """Whether the model's weights would have to be fetched."""
        size = self.download_bytes(model)
        if size == 0:
            return Step(name="model", state="reused", detail=_label(model))
        much = "a download" if size is None else f"a download of {size / 1e6:,.0f} MB"
        return Step(name="model", state="planned", detail=f"{_label(model)}, {much}")

    def download_bytes(self, model: Job | str) -> int | None:
        """What of the model has to be fetched first; None if nobody knows how much.

        Raises:
            NotFoundError: there is no such model.
        """
        if isinstance(model, Job):
            return 0
        ref = _resolved(model)
        return 0 if models.cached(ref, self._cache) is not None else models.download_size(ref)

    def estimate(self, model: Job | str) -> Estimate:
        """What has to be fetched before the model answers, and the memory it takes then; money it costs none.

        Raises:
            NotFoundError: there is no such model.
        """
        entry = _resolved(model).entry if isinstance(model, str) else None
        measured = entry is not None and not on_gpu(self._settings.device)
        return Estimate(
            usd=(0, 0),
            usd_per_hour=0,
            download_bytes=self.download_bytes(model),
            memory_bytes=to_answer(entry.parameters) if entry and measured else None,
            memory_free=psutil.virtual_memory().available if measured else None,
            source="this machine",
        )

    async def states(self) -> list[DeploymentState]:
        """Every deployment as it is now."""
        names = sorted(path.parent.name for path in self._directory.glob("*/deployment.json"))
        found = [await self._state(name) for name in names]
        return [state for state in found if state is not None]

    async def stopped(self, name: str) -> bool:
        """Whether the server's process is gone."""
        return await self._servers.doing(name) == "stopped"

    async def access(self, name: str) -> Access:
        """How clients reach the deployment, whose server is started again if it had stopped.

        Raises:
            NotFoundError: there is no such deployment.
        """
        record = self._read(name)
        if await self._servers.doing(name) != "ready":
            await self.deploy(record.spec, unheard)
        key = (self._folder(name) / "key").read_text(encoding="utf-8")
        return Access(base_url=f"{self._servers.url(name)}/v1", key=key, model=record.title)

    def log(self, name: str) -> AsyncGenerator[str, None]:
        """What the deployment's server has written.

        Raises:
            NotFoundError: no such server has run.
        """
        return self._servers.log(name)

    async def delete(self, name: str) -> None:
        """Stop the server and forget the deployment; one that is gone already is no error."""
        folder = self._folder(name)
        async with locked(self._lock(name)):
            # The record first: without it nobody starts the server again.
            (folder / "deployment.json").unlink(missing_ok=True)
            await self._servers.stop(name)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def resources(self) -> list[Resource]:
        """The server processes that are alive."""
        names = self._servers.running()
        return [Resource(kind="server", name=name, state=await self._servers.doing(name)) for name in names]

    async def _record_of(self, spec: DeploySpec, report: Report) -> _Record:
        """The model on this machine; its weights are fetched, with progress, if they are not there."""
        if isinstance(spec.model, Job):
            report(Step(name="model", state="reused", detail=spec.model.id))
            return _Record(spec=spec, path=self._trained(spec.model.id), title=_label(spec.model))
        ref = _resolved(spec.model)
        there = models.cached(ref, self._cache) is not None
        report(Step(name="model", state="running", detail=ref.name))
        path = await models.pull(ref, self._cache, report)
        report(Step(name="model", state="reused" if there else "done", detail=ref.name))
        return _Record(spec=spec, path=path, title=ref.name)

    async def _serve(self, record: _Record, report: Report) -> Literal["done", "reused"]:
        """Have the server run as recorded: the one that does already is left alone."""
        name = record.spec.name
        key = self._folder(name) / "key"
        if not key.exists():
            write_atomic(key, secrets.token_urlsafe(32), mode=0o600)
        write_atomic(self._folder(name) / "deployment.json", record.model_dump_json())
        environment = {"PHICHAT_SERVE_KEY": key.read_text(encoding="utf-8"), "OMP_WAIT_POLICY": "PASSIVE"}
        state = await self._servers.start(name, self._command(record), environment)
        await self._servers.until_ready(name, report)
        return state

    def _command(self, record: _Record) -> list[str]:
        settings = self._settings
        command = [sys.executable, str(bundled("trainer") / "serve.py"), "--model", str(record.path)]
        command += ["--name", record.title, "--host", HOST, "--port", "0", "--device", settings.device]
        command += ["--idle-stop", str(settings.idle_stop * 60)]
        if settings.cache_gib:
            command += ["--cache-bytes", str(int(settings.cache_gib * GIB))]
        return [*command, "--threads", str(settings.threads)] if settings.threads else command

    async def _state(self, name: str) -> DeploymentState | None:
        """A deployment as it is now; None if it was deleted while its server was asked."""
        doing = await self._servers.doing(name)
        try:
            record = self._read(name)
        except NotFoundError:
            return None
        return DeploymentState(
            deployment=Deployment(id=name, url=self._servers.url(name) or ""),
            healthy=doing == "ready",
            model=record.title,
            detail="starts again with the next question" if doing == "stopped" else doing,
            template_sha256=await asyncio.to_thread(_template, record.path),
        )

    def _read(self, name: str) -> _Record:
        try:
            text = (self._folder(name) / "deployment.json").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NotFoundError(
                f"There is no deployment {name!r} on this machine.", "phichat deploy"
            ) from error
        return _Record.model_validate_json(text)

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            told = f"{name!r} is no name for a deployment."
            raise BackendError(told, "Use letters, digits, '-', '_' and '.'.")
        return self._directory / name

    def _lock(self, name: str) -> Path:
        """Outside the deployment's folder, which `delete` removes: a lock that is removed locks nothing."""
        self._folder(name)
        self._locks.mkdir(parents=True, exist_ok=True)
        return self._locks / f"{name}.lock"


def _resolved(model: str) -> models.ModelRef:
    try:
        return models.resolve(model)
    except ConfigError as error:
        raise NotFoundError(error.message, error.hint) from error


def _template(folder: Path) -> str:
    """The hash of the chat template that a model was trained with; empty where it was not trained by us."""
    try:
        told = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(told.get("template_sha256", ""))


def _label(model: Job | str) -> str:
    return model.id if isinstance(model, Job) else model
