"""Jobs by name: found in the cloud before anything is made, started again under the next attempt's name."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends.absent import no_model
from phichat.backends.azureml import arm as waiting
from phichat.backends.azureml import assets, command, compute, environment, needs
from phichat.backends.azureml.assets import Base
from phichat.backends.azureml.storage import uri
from phichat.backends.base import EvalSpec, Job, TrainSpec
from phichat.errors import BackendError, NotFoundError, UnavailableError, UnsupportedError
from phichat.events import Status, Step, unheard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.needs import Need
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report

GET_API = "2024-01-01-preview"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
LOOK_S = 5.0
STOPPED = frozenset({"failed", "canceled", "cancelled"})
STOPPING = "cancelrequested"


class Attempt(NamedTuple):
    """One job of Azure's; a run that was started again has several."""

    name: str
    number: int
    state: str
    """In small letters."""
    tags: dict[str, str]
    url: str
    data: str = ""
    """Its rows, as `data/NAME/VERSION`."""


class Jobs:
    """The jobs of one workspace. The cloud is the truth: nothing is remembered here."""

    def __init__(self, workspace: Workspace, workdir: Path) -> None:
        self._workspace = workspace
        self._locks = workdir / "locks"

    async def attempts(self, name: str) -> list[Attempt]:
        """Every job that a run has had, the oldest first.

        Raises:
            NotFoundError: it has had none.
        """
        found: list[Attempt] = []
        if _NAME.fullmatch(name):
            while attempt := await self._find(name, len(found) + 1):
                found.append(attempt)
        if not found:
            raise NotFoundError(f"There is no job {name!r} in the workspace.", "phichat runs")
        return found

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        """Start the job, or find it; one that stopped goes on in the same folder, under the next name.

        Raises:
            NotFoundError: the model or a file of the dataset is not there.
        """
        self._legal(spec.name)
        async with self._locked(spec.name):
            last = await self._last(spec, report)
            if last is not None and last.state not in STOPPED:
                report(Step(name="job", state="reused", detail=last.name))
                return Job(id=spec.name, url=last.url)
            number = last.number + 1 if last else 1
            return await self._start(spec, number, await self._ready(spec, report), report)

    async def plan(self, spec: TrainSpec) -> list[Step]:
        """What `submit` would do; only looks."""
        self._legal(spec.name)
        wanted, _ = await self._needs(spec, unheard, pull=False)
        steps = [await needs.planned(need) for need in wanted]
        try:
            last = (await self.attempts(spec.name))[-1]
        except NotFoundError:
            last = None
        if last is not None and last.state not in STOPPED:
            return [*steps, Step(name="job", state="reused", detail=last.name)]
        name = attempt_name(spec.name, last.number + 1 if last else 1)
        return [*steps, Step(name="job", state="planned", detail=name)]

    async def cancel(self, name: str) -> None:
        """Ask for the end of the last attempt; one that has ended stays as it is."""
        last = (await self.attempts(name))[-1]
        if last.state in STOPPED or last.state in ("completed", STOPPING):
            return
        path = await self._workspace.path(f"jobs/{last.name}/cancel")
        await self._workspace.account.arm.ask("POST", path, GET_API, {}, f"cancel the job {last.name}")

    async def _last(self, spec: TrainSpec | EvalSpec, report: Report) -> Attempt | None:
        """The last attempt, which no longer writes into the run's folder if it has been told to stop.

        Raises:
            BackendError: the job of that name is somebody else's.
        """
        for _ in range(waiting.PATIENCE):
            try:
                last = (await self.attempts(spec.name))[-1]
            except NotFoundError:
                return None
            if last.tags.get("phichat-kind") != _kind(spec):
                raise BackendError(f"There is another job {spec.name!r} already.", "Choose another --name.")
            if last.state != STOPPING:
                return last
            report(Status(state="preparing", detail=f"The attempt {last.name} is still stopping."))
            await waiting.pause(LOOK_S)
        raise UnavailableError(f"The job {spec.name} does not stop.", "Repeat the command in some minutes.")

    async def _ready(self, spec: TrainSpec | EvalSpec, report: Report) -> command.Inputs:
        """Have everything that the job needs."""
        wanted, inputs = await self._needs(spec, report, pull=True)
        for need in wanted:
            await needs.ensure(need, report)
        return inputs

    async def _needs(
        self, spec: TrainSpec | EvalSpec, report: Report, *, pull: bool
    ) -> tuple[list[Need], command.Inputs]:
        base = await self._base(spec, report, pull=pull)
        code = await asyncio.to_thread(assets.code)
        inputs = command.Inputs(code, await asyncio.to_thread(assets.rows, spec.dataset), base)
        return needs.of(self._workspace, inputs, wait=pull), inputs

    async def _base(self, spec: TrainSpec | EvalSpec, report: Report, *, pull: bool) -> Base:
        """The base model of a training; for an evaluation, that of the model's own training."""
        if isinstance(spec, TrainSpec):
            return await assets.base(spec.base_model, report, pull=pull)
        if not isinstance(spec.model, Job) or spec.dataset.eval_file is None:
            raise NotFoundError("An evaluation needs a trained model and held-out rows.", "phichat train")
        trained = (await self.attempts(spec.model.id))[-1]
        if trained.state != "completed":
            raise no_model(spec.model.id, trained.state)
        return await assets.base(trained.tags["phichat-base"], report, pull=pull)

    async def _start(
        self,
        spec: TrainSpec | EvalSpec,
        number: int,
        inputs: command.Inputs,
        report: Report,
    ) -> Job:
        workspace = self._workspace
        name = attempt_name(spec.name, number)
        report(Step(name="job", state="running", detail=name))
        if isinstance(spec, EvalSpec) and isinstance(spec.model, Job):
            model = uri(f"{command.run_folder(spec.model.id)}/model")
            inputs = inputs._replace(model=model)
        top = (await workspace.place()).workspace_path
        settings = workspace.account.settings
        body = command.job(
            name,
            command.train_command(inputs) if isinstance(spec, TrainSpec) else command.eval_command(inputs),
            inputs,
            _config(spec, inputs.base),
            settings=settings,
            top=top,
            compute=compute.name_of(settings),
            environment=environment.environment_for(settings.train_size).path,
            output=uri(command.run_folder(spec.name)),
            experiment=workspace.account.project,
            seconds=await self._seconds(spec),
            tags=self._tags(spec, inputs.base),
        )
        made = await self._put(spec.name, number, body)
        report(Step(name="job", state="done", detail=name))
        return Job(id=spec.name, url=made.url)

    async def _put(self, run: str, number: int, body: Json) -> Attempt:
        """Make the job; where only the answer got lost, it is there all the same, and its name is taken."""
        name = attempt_name(run, number)
        try:
            told = await self._workspace.put(f"jobs/{name}", command.API, body, f"submit the job {name}")
        except BackendError:
            with contextlib.suppress(BackendError):
                made = await self._find(run, number)
                if made is not None:
                    return made
            raise
        return _attempt(told, name, number)

    async def _seconds(self, spec: TrainSpec | EvalSpec) -> int:
        """How long it may run: as configured, or as long as the money lasts."""
        account = self._workspace.account
        longest = int(account.settings.time_limit * 3600)
        if spec.max_usd is None:
            return longest
        from phichat.backends.azureml import money

        price = await account.price(account.settings.train_size)
        if price is None:
            return longest
        rate = price.high * account.settings.instance_count
        return min(longest, money.longest_seconds(spec.max_usd, rate))

    def _tags(self, spec: TrainSpec | EvalSpec, base: Base) -> dict[str, str]:
        named = spec.base_model if isinstance(spec, TrainSpec) else base.title
        told = {
            "phichat": self._workspace.account.project,
            "phichat-kind": _kind(spec),
            "phichat-base": named,
        }
        return {**told, "phichat-data": spec.dataset.fingerprint}

    async def _find(self, name: str, number: int) -> Attempt | None:
        called = attempt_name(name, number)
        found = await self._workspace.find(f"jobs/{called}", GET_API, f"look up the job {called}")
        return None if found is None else _attempt(found, called, number)

    @contextlib.asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[None]:
        """Let no other process of this machine start the same job meanwhile."""
        from filelock import FileLock, Timeout

        self._locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._locks / f"{name}.lock")
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                await asyncio.sleep(0.05)
        try:
            yield
        finally:
            lock.release()

    def _legal(self, name: str) -> None:
        if not _NAME.fullmatch(name) or "__" in name:
            raise UnsupportedError(
                f"{name!r} is no name for a job on Azure.", "Use letters, digits, - and _, but no __."
            )


def attempt_name(name: str, number: int) -> str:
    """What a run's job is called: a name that was used once can never be used again."""
    return name if number == 1 else f"{name}__{number}"


def _attempt(told: Json, name: str, number: int) -> Attempt:
    properties = told.get("properties", {})
    studio = (properties.get("services") or {}).get("Studio") or {}
    state = str(properties.get("status", "")).lower()
    rows = str(((properties.get("inputs") or {}).get("data") or {}).get("uri", ""))
    data = "data/" + rows.partition("/data/")[2].replace("/versions", "") if "/data/" in rows else ""
    return Attempt(name, number, state, properties.get("tags") or {}, studio.get("endpoint", ""), data)


def _config(spec: TrainSpec | EvalSpec, base: Base) -> dict[str, Any]:
    """The trainer's own settings."""
    if isinstance(spec, EvalSpec):
        return dict(spec.settings)
    return {
        **spec.hyperparameters,
        "base_model": base.link if base.asset else base.repo,
        "revision": base.revision,
        "run_name": spec.name,
        # The mounted file is the data; whoever gives no fingerprint still gets a stable one.
        "data_fingerprint": spec.dataset.fingerprint or _digest(spec.dataset.train_file),
    }


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _kind(spec: TrainSpec | EvalSpec) -> str:
    return "train" if isinstance(spec, TrainSpec) else "eval"
