"""The backend that is this machine: a model server that is a process of its own, and costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import secrets
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import psutil
from pydantic import Field

from phichat import models
from phichat.backends import openai
from phichat.backends.base import (
    Access,
    AnyBackend,
    Backend,
    ChatOptions,
    Check,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    EvalSpec,
    Job,
    Message,
    Report,
    Resource,
    Settings,
    TrainSpec,
    Usage,
    Value,
)
from phichat.backends.hookspecs import hookimpl
from phichat.backends.server import ModelServers, locked
from phichat.errors import BackendError, ConfigError, NotFoundError, UnavailableError, UnsupportedError
from phichat.events import Event, Step
from phichat.paths import bundled, user_folders, write_atomic

HOST = "127.0.0.1"
NEEDED = ("torch", "transformers", "starlette", "uvicorn")
GIB = 2**30
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class LocalSettings(Settings):
    """How models run on this machine."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where the model runs; auto takes a GPU if there is one."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Processor threads for the model; by default what was measured to be best.",
    )
    idle_stop: float = Field(
        default=30,
        ge=0,
        description="Minutes without a question after which the model server stops; 0: never.",
    )
    cache_gib: float | None = Field(
        default=None,
        gt=0,
        description="Memory for what the model has read of conversations, in GiB; default: a quarter of what is free.",
    )


class _Record(Value):
    """What is remembered of a deployment; the key is in a file of its own that only the owner can read."""

    spec: DeploySpec
    path: Path
    title: str


class LocalBackend(Backend[LocalSettings]):
    """Chat with models in a server process that outlives the application and is found again."""

    title: ClassVar[str] = "This machine"
    settings_type: ClassVar[type[Settings]] = LocalSettings

    def __init__(self, settings: LocalSettings, workdir: Path) -> None:
        super().__init__(settings, workdir)
        self._deployments = workdir / "deployments"
        self._servers = ModelServers(workdir / "servers")
        self._weights = user_folders().cache

    async def check(self) -> list[Check]:
        return [_packages(), self._memory(), self._disk()]

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        raise UnsupportedError("This machine cannot train yet.", "Chat with a base model: phichat chat")

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        raise NotFoundError(f"There is no job {job.id!r} on this machine.")
        yield  # makes this a generator: the error comes with the first event, as for every backend

    async def cancel(self, job: Job) -> None:
        raise NotFoundError(f"There is no job {job.id!r} on this machine.")

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return Estimate(usd=(0, 0), usd_per_hour=0, source="this machine")

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        """Start the model's server, or find it; one that serves another model is replaced."""
        lock = self._lock(spec.name)
        record = await self._fetch(spec, report)
        report(Step(name="server", state="running", detail=record.title))
        async with locked(lock):
            try:
                state = await self._serve(record, report)
            except BackendError:
                report(Step(name="server", state="failed", detail=record.title))
                raise
        report(Step(name="server", state=state, detail=record.title))
        return Deployment(id=spec.name, url=self._servers.url(spec.name) or "")

    async def deployments(self) -> list[DeploymentState]:
        return [await self._state(folder.name) for folder in self._known()]

    async def delete(self, deployment: Deployment) -> None:
        folder = self._folder(deployment.id)
        async with locked(self._lock(deployment.id)):
            # The record first: without it nobody starts the server again.
            (folder / "deployment.json").unlink(missing_ok=True)
            await self._servers.stop(deployment.id)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer of the deployment's server, which is started again if it had stopped."""
        for attempt in (1, 2):
            access = await self.access(deployment)
            said = False
            try:
                async with contextlib.aclosing(openai.stream_chat(access, messages, options)) as parts:
                    async for part in parts:
                        said = True
                        yield part
                return
            except UnavailableError:
                # It may have stopped, being idle, between the look and the question.
                if said or attempt == 2 or await self._servers.doing(deployment.id) != "stopped":
                    raise

    async def logs(self, what: Job | Deployment) -> AsyncGenerator[str, None]:
        with contextlib.suppress(NotFoundError):
            for line in await asyncio.to_thread(self._servers.log, what.id):
                yield line
            return
        raise NotFoundError(f"Nothing named {what.id!r} has run on this machine.")

    async def resources(self) -> list[Resource]:
        return [
            Resource(kind="server", name=name, state=await self._servers.doing(name))
            for name in self._servers.running()
        ]

    async def remove(self, resource: Resource, report: Report) -> None:
        report(Step(name=resource.name, state="running", detail="stopping"))
        await self.delete(Deployment(id=resource.name))
        report(Step(name=resource.name, state="done", detail="stopped"))

    async def access(self, deployment: Deployment) -> Access:
        record = self._record(deployment.id)
        if await self._servers.doing(deployment.id) != "ready":
            await self.deploy(record.spec, _ignore)
        key = (self._folder(deployment.id) / "key").read_text(encoding="utf-8")
        return Access(base_url=f"{self._servers.url(deployment.id)}/v1", key=key, model=record.title)

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BackendError(
                f"{name!r} is no name for a deployment.", "Use letters, digits, '-', '_' and '.'."
            )
        return self._deployments / name

    def _lock(self, name: str) -> Path:
        """Outside the deployment's folder, which `delete` removes: a lock that is removed locks nothing."""
        self._folder(name)
        (self.workdir / "locks").mkdir(parents=True, exist_ok=True)
        return self.workdir / "locks" / f"{name}.lock"

    def _known(self) -> list[Path]:
        return sorted(path.parent for path in self._deployments.glob("*/deployment.json"))

    def _record(self, name: str) -> _Record:
        try:
            text = (self._folder(name) / "deployment.json").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NotFoundError(
                f"There is no deployment {name!r} on this machine.", "phichat deploy"
            ) from error
        return _Record.model_validate_json(text)

    async def _fetch(self, spec: DeploySpec, report: Report) -> _Record:
        """The model's weights on this machine; fetched, with progress, if they are not there."""
        if isinstance(spec.model, Job):
            raise NotFoundError(f"There is no job {spec.model.id!r} on this machine.")
        try:
            ref = models.resolve(spec.model)
        except ConfigError as error:
            raise NotFoundError(error.message, error.hint) from error
        there = models.cached(ref, self._weights) is not None
        report(Step(name="model", state="running", detail=ref.name))
        path = await models.pull(ref, self._weights, report)
        report(Step(name="model", state="reused" if there else "done", detail=ref.name))
        return _Record(spec=spec, path=path, title=ref.name)

    def _command(self, record: _Record) -> list[str]:
        settings = self.settings
        command = [sys.executable, str(bundled("trainer") / "serve.py"), "--model", str(record.path)]
        command += ["--name", record.title, "--host", HOST, "--port", "0", "--device", settings.device]
        command += ["--idle-stop", str(settings.idle_stop * 60)]
        if settings.cache_gib:
            command += ["--cache-bytes", str(int(settings.cache_gib * GIB))]
        return [*command, "--threads", str(settings.threads)] if settings.threads else command

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

    async def _state(self, name: str) -> DeploymentState:
        doing = await self._servers.doing(name)
        return DeploymentState(
            deployment=Deployment(id=name, url=self._servers.url(name) or ""),
            healthy=doing == "ready",
            model=self._record(name).title,
            detail="starts again with the next question" if doing == "stopped" else doing,
        )

    # What must be in place

    def _memory(self) -> Check:
        free = psutil.virtual_memory().available / GIB
        return Check(
            name="memory",
            ok=free >= 1.5,
            detail=f"{free:.1f} GiB free; SmolLM2 needs about 1.5, a Phi of 3.8 billion parameters about 16",
            fix="" if free >= 1.5 else "Close other programs, or choose a smaller base_model.",
        )

    def _disk(self) -> Check:
        place = next(path for path in (self._weights, *self._weights.parents) if path.exists())
        free = shutil.disk_usage(place).free / GIB
        return Check(
            name="disk",
            ok=free >= 1,
            detail=f"{free:.1f} GiB free for weights in {self._weights}",
            fix=""
            if free >= 1
            else "Make room, remove weights with 'phichat models remove', or set PHICHAT_CACHE.",
        )


def _packages() -> Check:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return Check(
        name="packages",
        ok=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else ", ".join(NEEDED),
        fix="pip install 'phichat[local]'" if missing else "",
    )


def _ignore(event: Event) -> None:
    """For what nobody waits to hear."""


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    """This machine."""
    return LocalBackend
