"""A backend that says what a test tells it to, when the test tells it to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar

from phichat import models
from phichat.backends.base import (
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
)
from phichat.backends.local.forecast import to_answer
from phichat.backends.local.settings import LocalSettings
from phichat.backends.registry import Description, Registry
from phichat.events import Event, Progress, Status, Step
from phichat.models.cache import MARKER, Marker, model_folder
from phichat.paths import user_folders
from phichat.workflow import Project

DOWNLOAD = 98_000_000


class Script:
    """What happens, in the order in which a test lets it happen.

    Deploying sets `deploying`, waits for `loaded`, and reports what `report` is given meanwhile. An
    answer is what is put into `answers`: texts, at last a `Usage` or an exception.
    """

    def __init__(self) -> None:
        self.deploying = asyncio.Event()
        self.loaded = asyncio.Event()
        self.answers: asyncio.Queue[str | Usage | Exception] = asyncio.Queue()
        self.asked: list[list[Message]] = []
        self.options: list[ChatOptions] = []
        self.deploys = 0
        self.deployed_specs: list[DeploySpec] = []
        self.cancelled_deploys = 0
        self.closed_answers = 0
        self.deploy_error: Exception | None = None
        self.closing: Callable[[], Awaitable[object]] = _at_once
        self.closed = False
        self.checks: list[Check] = []
        self.checking = asyncio.Event()
        """Checking ends when it is set, as it is unless a test wants to wait."""
        self.checking.set()
        self.report: Report = lambda event: None
        self.submitted: list[TrainSpec | EvalSpec] = []
        self.cancelled: list[str] = []
        self.training = Estimate(usd=(0, 0))
        """What a training would take."""
        self.stories: dict[str, list[Event]] = {}
        """What each job has told, by its name."""
        self._told = asyncio.Event()
        self.deployed: list[DeploymentState] = []
        self.alive: list[Resource] = []
        self.written: list[str] = []
        """The log of every deployment."""
        self.deleted: list[str] = []
        self.place: list[Step] | None = None
        """What the place still needs; None: nobody has to sign in, and nothing to be made ready."""
        self.signed = asyncio.Event()
        """Somebody has entered the code."""
        self.sign_in_error: Exception | None = None
        self.making: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        """What happens while the place is made ready; None: it is."""

    def say(self, *pieces: str, finish_reason: str = "stop") -> None:
        """Give a whole answer."""
        for piece in pieces:
            self.answers.put_nowait(piece)
        usage = Usage(prompt_tokens=12, completion_tokens=len(pieces), finish_reason=finish_reason)
        self.answers.put_nowait(usage)

    def tell(self, job: str, *events: Event) -> None:
        """Let a job tell more."""
        self.stories.setdefault(job, []).extend(events)
        self._told.set()

    async def story(self, job: str) -> AsyncGenerator[Event, None]:
        """What a job tells, to its end."""
        seq = 0
        while True:
            for event in self.stories.get(job, [])[seq:]:
                yield event.model_copy(update={"seq": seq})
                seq += 1
                if isinstance(event, Status) and event.finished:
                    return
            self._told.clear()
            await self._told.wait()

    def progress(self, done: float, total: float = DOWNLOAD) -> None:
        """Report how much of the weights is there."""
        self.report(Progress(what="Downloading SmolLM2", done=done, total=total, unit="bytes"))


class ScriptedBackend(Backend[Settings]):
    """Follows a script; whatever a script does not mention is empty."""

    title: ClassVar[str] = "Script"
    settings_type: ClassVar[type[Settings]] = LocalSettings
    script: ClassVar[Script]

    async def check(self) -> list[Check]:
        await self.script.checking.wait()
        return self.script.checks

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        self.script.submitted.append(spec)
        return Job(id=spec.name)

    def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        return self.script.story(job.id)

    async def cancel(self, job: Job) -> None:
        self.script.cancelled.append(job.id)
        self.script.tell(job.id, Status(state="cancelled"))

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        script = self.script
        script.deploys += 1
        script.deployed_specs.append(spec)
        script.report = report
        script.deploying.set()
        try:
            await script.loaded.wait()
        except asyncio.CancelledError:
            script.cancelled_deploys += 1
            raise
        if script.deploy_error:
            raise script.deploy_error
        return Deployment(id=spec.name)

    async def deployments(self) -> list[DeploymentState]:
        return list(self.script.deployed)

    async def delete(self, deployment: Deployment) -> None:
        self.script.deleted.append(deployment.id)
        self.script.deployed = [each for each in self.script.deployed if each.deployment != deployment]

    async def resources(self) -> list[Resource]:
        return list(self.script.alive)

    async def logs(self, what: Job | Deployment) -> AsyncGenerator[str, None]:
        for line in self.script.written:
            yield line

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        if isinstance(spec, TrainSpec):
            return self.script.training
        ref = models.resolve(spec.model if isinstance(spec.model, str) else models.DEFAULT)
        there = models.cached(ref, user_folders().cache) is not None
        return Estimate(
            usd=(0, 0),
            download_bytes=0 if there else models.download_size(ref),
            memory_bytes=to_answer(ref.entry.parameters) if ref.entry else None,
            memory_free=14e9,
        )

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        script = self.script
        script.asked.append(list(messages))
        script.options.append(options)
        try:
            while True:
                part = await script.answers.get()
                if isinstance(part, Exception):
                    raise part
                yield part
                if isinstance(part, Usage):
                    return
        finally:
            script.closed_answers += 1

    async def sign_in(self, report: Report) -> bool:
        told = "To sign in, open https://login.microsoft.com/device and enter ABCD1234E (until 15:20)."
        report(Status(state="preparing", detail=told))
        await self.script.signed.wait()
        if self.script.sign_in_error:
            raise self.script.sign_in_error
        report(Status(state="running", detail="signed in as ada@contoso.com"))
        return False

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        return list(self.script.place or ()) if spec is None else []

    async def provision(self, report: Report) -> None:
        while (event := await self.script.making.get()) is not None:
            if isinstance(event, Exception):
                raise event
            report(event)

    @classmethod
    def supports(cls, method: str) -> bool:
        if method in ("sign_in", "plan", "provision"):
            return cls.script.place is not None
        return super().supports(method)

    async def aclose(self) -> None:
        self.script.closed = True
        await self.script.closing()


async def _at_once() -> None:
    return


class OneBackend(Registry):
    """Knows one backend, whatever name is asked for."""

    def __init__(self, backend: type[AnyBackend]) -> None:
        super().__init__(lambda: ())
        self._backend = backend

    def load(self, name: str) -> type[AnyBackend]:
        return self._backend

    def describe(self) -> list[Description]:
        broken = "Backend 'cloudy' cannot be loaded: ModuleNotFoundError: No module named 'cloud'."
        return [
            Description("cloudy", "phichat-cloudy 1.0", error=broken),
            Description("local", "phichat 0.1.0", title="This machine"),
        ]


def opener(script: Script, folder: Path, registry: Registry | None = None) -> Callable[[], Project]:
    """Opens a project of that folder on a backend that follows the script."""
    backend = type("Scripted", (ScriptedBackend,), {"script": script})

    def open_project() -> Project:
        return Project.open(folder, environ=os.environ, registry=registry or OneBackend(backend))

    return open_project


def have_weights(cache: Path) -> None:
    """Make the cache say that the default model is there."""
    ref = models.resolve(models.DEFAULT)
    marker = Marker(name=ref.name, key=ref.key, title=ref.title, origin="test", files=())
    place = model_folder(ref.key, cache)
    place.mkdir(parents=True)
    (place / MARKER).write_text(marker.model_dump_json(), encoding="utf-8")
