"""A project and its backend: what every command and every screen is a thin layer over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from phichat import models
from phichat.backends.base import (
    Access,
    AnyBackend,
    ChatOptions,
    Check,
    Dataset,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    Job,
    Message,
    Report,
    Resource,
    TrainSpec,
)
from phichat.backends.registry import Registry
from phichat.config import Config, Loaded, Origin, backend_settings, load
from phichat.errors import PhichatError, PluginError, UnsupportedError
from phichat.events import Event, Piece, Progress, Reply, Step, unheard
from phichat.history import HistoryStore, Merged
from phichat.paths import Folders, state_folder, user_folders
from phichat.runs import Run
from phichat.workflow.chatting import FLOW, chat_options, timed, with_system
from phichat.workflow.conversations import Conversations
from phichat.workflow.deployed import prices
from phichat.workflow.guard import Guard, bounded
from phichat.workflow.keeping import StoreName, check_history, move_history, open_history
from phichat.workflow.money import Spending, affordable, most
from phichat.workflow.serving import Serving
from phichat.workflow.training import Training
from phichat.workflow.written import check_with_backend, check_written

if TYPE_CHECKING:
    from phichat.workflow.flows import Flows

CHECK_SECONDS = 60.0
"""How long a backend may take to check itself before that counts as a failed check."""


class Project:
    """A project and its backend: what every command and every screen is a thin layer over.

    >>> async with Project.open() as project:
    ...     async for part in project.chat([Message(role="user", content="Who founded Microsoft?")]):
    ...         print(part)
    """

    def __init__(self, loaded: Loaded, folders: Folders, registry: Registry) -> None:
        self.loaded = loaded
        self.folders = folders
        self.registry = registry
        self.state = state_folder(loaded.project, folders)
        passing = self.origins["backend"].source in ("flag", "environment")
        self._guard = Guard(self.config.backend, registry, passing=passing)
        self._backend: AnyBackend | None = None
        self.training = Training(self.config, self.state, self._guard, lambda: self.backend)
        self.serving = Serving(
            self.config, self.state, self._guard, lambda: self.backend, self.training, self.estimate
        )
        self.conversations = Conversations(
            self.config, self.root, lambda: self.history, self.serving, self.chat
        )
        self._flows: Flows | None = None
        self._history: HistoryStore | None = None

    @classmethod
    def open(
        cls,
        cwd: Path | None = None,
        *,
        flags: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] = os.environ,
        registry: Registry | None = None,
    ) -> Project:
        """The project of a folder: the nearest `phichat.toml` from there upwards, or none and defaults.

        Raises:
            ConfigError: a flag, variable or key is wrong.
        """
        folders = user_folders(environ)
        loaded = load(flags or {}, environ, cwd or Path.cwd(), folders)
        return cls(loaded, folders, registry or Registry())

    def elsewhere(self, folder: Path) -> Project:
        """The project of another folder, opened with the same flags and backends."""
        given = {each.dotted: each.value for each in self.loaded.entries if each.origin.source == "flag"}
        return Project.open(folder, flags=given, environ=self.loaded.environ, registry=self.registry)

    @property
    def config(self) -> Config:
        """What is configured, wherever it comes from."""
        return self.loaded.config

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Where each value of the config comes from, by dotted key."""
        return self.loaded.origins

    @property
    def root(self) -> Path | None:
        """The folder with the `phichat.toml`, or None."""
        return self.loaded.project

    @property
    def base_model(self) -> str:
        """The model to start from: the configured one, or the one that runs anywhere."""
        return self.config.base_model or models.DEFAULT

    @property
    def backend(self) -> AnyBackend:
        """The configured backend, loaded on first use.

        Raises:
            ConfigError: there is no such backend, or its settings are wrong.
            PluginError: the package that offers it is broken.
        """
        if self._backend is None:
            name = self.config.backend
            settings_type = self.registry.load(name).settings_type
            with self._guard.blamed():
                settings = backend_settings(self.loaded, name, settings_type)
            self._backend = self.registry.open(name, settings, self.state / name)
        return self._backend

    async def check(self, report: Report = unheard) -> list[Check]:
        """Whether everything is in place: what the backend needs, and where conversations are kept."""
        parts = 2 if self.config.history.store != "sqlite" else 1
        report(Progress(what=f"what the backend {self.config.backend} needs", done=0, total=parts))
        found = await self._check_backend()
        report(Progress(what="where conversations are kept", done=1, total=parts))
        kept = await check_history(self.config, self.loaded.environ)
        found += await asyncio.to_thread(check_written, self)
        if all(check.ok for check in found):
            with contextlib.suppress(TimeoutError):  # it is no more than an estimate
                found += await bounded(lambda: check_with_backend(self), CHECK_SECONDS)
        return [*found, *kept]

    async def _check_backend(self) -> list[Check]:
        """What the backend says; one that fails, or never answers, is a failed check."""
        try:
            found = await bounded(self.backend.check, CHECK_SECONDS)
            return [check.model_copy(update={"fix": self._guard.here(check.fix)}) for check in found]
        except TimeoutError:
            told = f"{self.config.backend!r} did not answer within {CHECK_SECONDS:g} s."
            return [_failed(PluginError(told, self._guard.advice()))]
        except PhichatError as error:
            return [_failed(error)]
        except (Exception, SystemExit) as error:
            return [_failed(self._guard.fault(error))]

    @property
    def weights(self) -> Path:
        """The cache in which model weights are kept."""
        return self.folders.cache

    async def sign_in(self, report: Report) -> bool:
        """Let a person sign in where it happens; whether other processes are signed in then, too.

        Raises:
            UnsupportedError: the backend asks nobody who they are.
        """
        if not self.backend.supports("sign_in"):
            told = f"The backend {self.config.backend!r} asks nobody who you are."
            others = [f"phichat login --backend {name}" for name in self._signed_in_to()]
            raise UnsupportedError(told, " or ".join(others))
        return await self._guard.call(self.backend.sign_in(report))

    def _signed_in_to(self) -> Iterator[str]:
        """The backends that ask who somebody is."""
        for name in self.registry.names():
            with contextlib.suppress(PhichatError):
                if self.registry.load(name).supports("sign_in"):
                    yield name

    async def provision(self, report: Report) -> None:
        """Make the place ready; what is ready stays as it is."""
        await self._guard.call(self.backend.provision(report))

    async def provision_plan(self) -> list[Step]:
        """What `provision` would do; nothing where there is nothing to make ready."""
        if not self.backend.supports("provision"):
            return []
        return await self._guard.call(self.backend.plan(None))

    async def plan(self, spec: TrainSpec | DeploySpec) -> list[Step]:
        """The steps that training or deploying would take; a single one where the backend has no plan."""
        if not self.backend.supports("plan"):
            return [Step(name=spec.name, state="planned", detail=f"on {self.backend.title}")]
        return await self._guard.call(self.backend.plan(spec))

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        """What training or deploying would cost; nothing is known where the backend cannot say."""
        if not self.backend.supports("estimate"):
            return Estimate()
        found = await self._guard.call(self.backend.estimate(spec))
        await self.training.purse.settle(most(found, spec))
        return found

    def affordable(
        self, estimate: Estimate, spec: TrainSpec | DeploySpec, max_usd: float | None = None
    ) -> float | None:
        """The most that may be spent on training or deploying: what is asked for, within the budget.

        Raises:
            BackendError: it would fail.
            QuotaError: it may cost more, or nobody knows what it costs.
        """
        return affordable(estimate, spec, max_usd=max_usd, spending=self.training.purse.spending())

    # What is deployed, and the chats

    async def deploy(
        self,
        model: Job | str | None,
        report: Report,
        name: str | None = None,
        *,
        max_usd: float | None = None,
    ) -> Deployment:
        """Make a model answer chats: a job's, a named one, or the base model. It is the current one then.

        Raises:
            ConfigError: the model's name is not one.
            QuotaError: it may cost more than `max_usd`, or than what is left of the budget.
        """
        return await self.serving.deploy(self.serving.spec(model, name), report, max_usd)

    async def ready(self, report: Report = unheard) -> Deployment:
        """The current deployment, able to answer; made now if there is none and making it is free.

        Raises:
            NotFoundError: nothing is deployed, and deploying costs money.
        """
        return await self.serving.ready(report)

    async def deployments(self) -> list[DeploymentState]:
        """What exists, healthy or not."""
        return await self.serving.states()

    async def chat(
        self,
        messages: Sequence[Message],
        options: ChatOptions | None = None,
        deployment: Deployment | None = None,
        *,
        system: str | None = None,
    ) -> AsyncGenerator[Piece | Reply, None]:
        """The answer piece by piece, then the whole of it with what it cost. Closing it stops the model.

        The system prompt, the configured one if none is given, is put first unless the messages bring one.
        `FLOW` asks the flow server, which has options of its own.
        """
        deployment = deployment or await self.ready()
        if deployment == FLOW:
            async with contextlib.aclosing(self.flows.chat(messages, system)) as answer:
                async for piece in answer:
                    yield piece
            return
        asked = time.monotonic()
        messages = with_system(messages, self.config.chat.system if system is None else system)
        parts = self.backend.chat(deployment, messages, options or self.chat_options())
        async with contextlib.aclosing(self._guard.stream(parts)) as stream:
            async for part in timed(stream, asked):
                yield part

    @property
    def history(self) -> HistoryStore:
        """Where conversations are kept, those of all projects; opened on first use.

        Raises:
            ConfigError: something of the configured store is missing.
        """
        if self._history is None:
            self._history = open_history(self.config, self.folders.data, self.loaded.environ)
        return self._history

    async def move_history(self, to: StoreName, *, remove: bool = False) -> Merged:
        """Bring every conversation from the other store into this one; see `phichat.history.moving`."""
        return await move_history(self.config, self.folders.data, self.loaded.environ, to, remove=remove)

    def chat_options(self, **changes: Any) -> ChatOptions:
        """How to answer, as configured under `[chat]`, with changes."""
        return chat_options(self.config, **changes)

    # Training

    async def train(
        self, dataset: Dataset, report: Report, *, name: str | None = None, again: bool = False
    ) -> Run:
        """Start training as configured, or find the run of the same work; `watch` tells how it goes.

        A run that succeeded is returned as it is (`again` makes another one); one that failed or was
        cancelled goes on from its last complete checkpoint.

        Raises:
            ConfigError: a run of that name is another one.
        """
        return await self.training.start(self.training.spec(dataset, name=name, again=again), report)

    def watch(self, name: str) -> AsyncGenerator[Event, None]:
        """A run's events from its first, then as they come, to exactly one finished `Status`.

        Raises:
            NotFoundError: there is no such run.
        """
        return self.training.watch(name)

    async def cancel(self, name: str) -> None:
        """End a run; one that is finished stays as it is."""
        await self.training.cancel(name)

    async def fetch(self, name: str, directory: Path, report: Report) -> Path:
        """Bring the model that a run made into a folder of this machine."""
        return await self.training.fetch(name, directory, report)

    # What is alive

    async def access(self, deployment: Deployment | None = None) -> Access:
        """Base URL and key of a deployment for other clients; of the current one if none is named."""
        return await self.serving.access(deployment)

    @property
    def flows(self) -> Flows:
        """The project's flows; loaded on first use, as few need them."""
        if self._flows is None:
            from phichat.workflow.flows import Flows

            self._flows = Flows(
                self.config, self.state, self.folders.cache, self.training.ledger, self.access
            )
        return self._flows

    async def resources(self) -> list[Resource]:
        """All that is alive and what it costs an hour, what serves the rest of it first."""
        flows = self.flows.resources()
        if not self.backend.supports("resources"):
            return flows
        found = await self._guard.call(self.backend.resources())
        await asyncio.to_thread(self.training.purse.deployed.rated, prices(found))
        return [*flows, *found]

    async def remove(self, resource: Resource, report: Report) -> None:
        """Stop and delete something that is alive."""
        from phichat.workflow.flows import KIND

        if resource.kind == KIND:
            await self.flows.stop()
            return
        await self._guard.call(self.backend.remove(resource, report))
        await self.serving.gone(resource.name)

    def spending(self, alive: Sequence[Resource] = ()) -> Spending:
        """What has cost on this backend by list price and still may, and what of `alive` does by the hour."""
        rates = [each.usd_per_hour for each in alive]
        known = [rate for rate in rates if rate is not None]
        hourly = sum(known) if len(known) == len(rates) else None
        return self.training.purse.spending().model_copy(update={"usd_per_hour": hourly})

    async def aclose(self) -> None:
        """Let go of connections; what runs, runs on."""
        # At once: whichever takes long must not keep the other from letting go.
        history = [self._history.aclose()] if self._history is not None else []
        backend = [self._guard.call(self._backend.aclose())] if self._backend is not None else []
        await asyncio.gather(*history, *backend)

    async def __aenter__(self) -> Project:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _failed(error: PhichatError) -> Check:
    return Check(name="backend", ok=False, detail=error.message, fix=error.hint or "phichat backends")
