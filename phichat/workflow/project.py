"""A project and its backend: what every command and every screen is a thin layer over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
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
    Value,
)
from phichat.backends.registry import Registry
from phichat.config import Config, Loaded, Origin, backend_settings, load
from phichat.errors import NotFoundError, PhichatError, PluginError
from phichat.events import Event, Piece, Reply, Step
from phichat.history import Conversation, ConversationLog, HistoryStore, Hit, Merged, StoredMessage
from phichat.history.log import Answerer
from phichat.paths import Folders, state_folder, user_folders, write_atomic
from phichat.runs import Run
from phichat.workflow import recall
from phichat.workflow.chatting import FLOW, timed, with_system
from phichat.workflow.guard import Guard, bounded
from phichat.workflow.keeping import StoreName, check_history, open_history
from phichat.workflow.money import Spending, affordable, spent
from phichat.workflow.training import Training, offer_token

_STORES: tuple[StoreName, ...] = ("sqlite", "cosmos")
if TYPE_CHECKING:
    from phichat.workflow.flows import Flows

CHECK_SECONDS = 60.0
"""How long a backend may take to check itself before that counts as a failed check."""


class _Current(Value):
    """The deployment that was made last on a backend, and what for."""

    base_model: str
    spec: DeploySpec
    deployment: Deployment


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
        self._guard = Guard(self.config.backend, registry)
        self._backend: AnyBackend | None = None
        self.training = Training(self.config, self.state, self._guard, lambda: self.backend)
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

    async def check(self) -> list[Check]:
        """Whether everything is in place: what the backend needs, and where conversations are kept."""
        return [*await self._check_backend(), *await check_history(self.config, self.loaded.environ)]

    async def _check_backend(self) -> list[Check]:
        """What the backend says; one that fails, or never answers, is a failed check."""
        try:
            return await bounded(self.backend.check, CHECK_SECONDS)
        except TimeoutError:
            told = f"{self.config.backend!r} did not answer within {CHECK_SECONDS:g} s."
            return [_failed(PluginError(told, self._guard.advice()))]
        except PhichatError as error:
            return [_failed(error)]
        except (Exception, SystemExit) as error:
            return [_failed(self._guard.fault(error))]

    async def model_size(self) -> int | None:
        """Bytes to download before a question can be answered; 0 when nothing, None when unknown."""
        deployed, spec = await self._wanted()
        return 0 if deployed else (await self.estimate(spec)).download_bytes

    @property
    def weights(self) -> Path:
        """The cache in which model weights are kept."""
        return self.folders.cache

    async def ready(self, report: Report) -> Deployment:
        """The current deployment, able to answer; made now if there is none and making it is free.

        Raises:
            NotFoundError: nothing is deployed, and deploying costs money.
        """
        deployed, spec = await self._wanted()
        if deployed is not None:
            return deployed
        if not (await self.estimate(spec)).free:
            raise NotFoundError("Nothing is deployed yet.", "phichat deploy")
        return await self._deploy(spec, report)

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
        return await self._deploy(self.deploy_spec(model, name), report, max_usd)

    def deploy_spec(self, model: Job | str | None = None, name: str | None = None) -> DeploySpec:
        """What `deploy` would make, as configured under `[deploy]`; to ask for its plan and its price.

        Raises:
            ConfigError: the model's name is not one.
        """
        model = model or self.base_model
        if isinstance(model, str):
            models.resolve(model)
        deploy = self.config.deploy
        return DeploySpec(
            name=name or self._name(model),
            model=model,
            endpoint=deploy.endpoint,
            size=deploy.size,
            ttl_hours=deploy.ttl_hours,
        )

    async def sign_in(self, report: Report) -> bool:
        """Let a person sign in where it happens; whether other processes are signed in then, too."""
        return await self._guard.call(self.backend.sign_in(report))

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
        return await self._guard.call(self.backend.estimate(spec))

    def affordable(
        self, estimate: Estimate, spec: TrainSpec | DeploySpec, max_usd: float | None = None
    ) -> float | None:
        """The most that may be spent on training or deploying: what is asked for, within the budget.

        Raises:
            QuotaError: it may cost more, or nobody knows what it costs.
        """
        return affordable(estimate, spec, max_usd=max_usd, spending=self._spending(0.0))

    async def deployable(self, name: str | None = None) -> Job | str:
        """What a person means to deploy: a run or a model by its name.

        Without a name it is the newest run of the base model that succeeded; where there is none, the base
        model itself.

        Raises:
            ConfigError: nothing is called so.
        """
        if name is None:
            run = await self.training.newest_success(self.base_model)
        else:
            run = next((each for each in self.training.ledger.runs() if each.name == name), None)
        if run is None:
            return name or self.base_model
        return self.training.job(run)

    async def deployments(self) -> list[DeploymentState]:
        """What exists, healthy or not."""
        return await self._guard.call(self.backend.deployments())

    async def serving(self) -> tuple[Deployment, Job | str] | None:
        """The current deployment and the model that it serves; None where there is none, or not any more."""
        current = await asyncio.to_thread(self._current)
        if current is None:
            return None
        there = {state.deployment.id for state in await self.deployments()}
        return (current.deployment, current.spec.model) if current.deployment.id in there else None

    async def delete(self, deployment: Deployment) -> None:
        """Remove a deployment for good; one that is gone already is no error."""
        await self._guard.call(self.backend.delete(deployment))

    def logs(self, deployment: Deployment) -> AsyncGenerator[str, None]:
        """The lines that a deployment has written so far."""
        return self._guard.stream(self.backend.logs(deployment))

    async def shift(self, deployment: Deployment, report: Report) -> None:
        """Let one deployment answer all requests of its endpoint: a new one, or an earlier one again."""
        endpoint = self.config.deploy.endpoint or deployment.id.partition("/")[0]
        names = [state.deployment.id for state in await self.deployments()]
        same = [name for name in names if name.partition("/")[0] == deployment.id.partition("/")[0]]
        weights = {name: 100 if name == deployment.id else 0 for name in same}
        await self._guard.call(self.backend.set_traffic(endpoint, weights, report))

    async def use(self, state: DeploymentState) -> Deployment:
        """Let an existing deployment answer the chats from now on; it is the current one then."""
        jobs = {run.job.id: run.job for run in self.training.ledger.runs() if run.job}
        model = jobs.get(state.model) or state.model or state.deployment.id
        spec = DeploySpec(name=state.deployment.id, model=model, endpoint=self.config.deploy.endpoint)
        await self._remember(spec, state.deployment)
        return state.deployment

    @property
    def current_model(self) -> str:
        """The model whose answers the chats are: of the current deployment, or the base model."""
        current = self._current()
        if current is None:
            return self.base_model
        return current.spec.model.id if isinstance(current.spec.model, Job) else current.spec.model

    async def set_traffic(self, endpoint: str, weights: Mapping[str, int], report: Report) -> None:
        """Share an endpoint's requests among its deployments, in percent; see `phichat.workflow.rollout`."""
        await self._guard.call(self.backend.set_traffic(endpoint, weights, report))

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
        deployment = deployment or await self.ready(_ignore)
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
        from phichat.history.moving import move

        async with contextlib.AsyncExitStack() as opened:
            stores = []
            for name in _STORES:
                store = open_history(self.config, self.folders.data, self.loaded.environ, name)
                opened.push_async_callback(store.aclose)
                stores.append(store)
            source, target = stores if to == "cosmos" else stores[::-1]
            return await move(source, target, remove=remove)

    async def conversation(self, conversation_id: str | None = None) -> ConversationLog:
        """A new conversation of this project, or a stored one to go on with.

        Raises:
            NotFoundError: there is no such conversation.
            HistoryError: the store cannot be read.
        """
        if conversation_id is not None:
            return await ConversationLog.resume(self.history, conversation_id)
        system = self.config.chat.system
        return ConversationLog(self.history, Conversation(project=str(self.root or ""), system=system))

    async def recall(self, words: str, log: ConversationLog) -> list[Hit]:
        """Where something was said in other conversations, the best first; to attach to a question.

        Raises:
            NotFoundError: nowhere.
        """
        return await recall.found(self.history, words, besides=log.conversation.id)

    async def ask(
        self,
        log: ConversationLog,
        question: str,
        attach: Sequence[Hit] = (),
        deployment: Deployment | None = None,
    ) -> StoredMessage:
        """Add a question to a conversation; `answer` is what follows.

        What was said in other conversations can be attached. If the conversation no longer fits the model
        and `chat.overflow` is `summarise`, its beginning is summarised first. Both are kept in the
        conversation as notes before the question.
        """
        notes = await recall.excerpts(self.history, attach)
        if self.config.chat.overflow == "summarise":
            whole = "\n\n".join([*(note.content for note in notes), question])
            beginning = await recall.summarised(
                log, whole, self.chat_options(), lambda prompt, how: self.chat(prompt, how, deployment)
            )
            notes = [beginning, *notes] if beginning else notes
        return await log.ask(question, notes)

    async def answer(
        self,
        log: ConversationLog,
        options: ChatOptions | None = None,
        deployment: Deployment | None = None,
        *,
        continues: str | None = None,
    ) -> AsyncGenerator[Piece | Reply, None]:
        """The answer to what a conversation shows, kept as it comes; see `chat` and `ConversationLog.record`.

        With `continues`, the id of a partial answer, it goes on from there as another version of it.
        """
        deployment = deployment or await self.ready(_ignore)
        # Should a summary turn out not to be enough, it is the oldest that goes.
        overflow = "error" if self.config.chat.overflow == "error" else "drop_oldest"
        options = options or self.chat_options(overflow=overflow)
        prompt = log.prompt
        if continues is not None:
            options = options.model_copy(update={"continue_final": True})
        # What a conversation has no system prompt of shall have none.
        parts = self.chat(prompt, options, deployment, system="")
        by: Answerer = {"backend": self.config.backend, "deployment": deployment.id, "options": options}
        current = self._current()
        if current is not None and current.deployment.id == deployment.id:
            by["model"] = current.spec.model.id if isinstance(current.spec.model, Job) else current.spec.model
        async with contextlib.aclosing(log.record(parts, continues=continues, **by)) as kept:
            async for part in kept:
                yield part

    def chat_options(self, **changes: Any) -> ChatOptions:
        """How to answer, as configured under `[chat]`, with changes."""
        chat = self.config.chat
        configured = {
            name: getattr(chat, name) for name in ("max_new_tokens", "temperature", "top_p", "seed")
        }
        return ChatOptions(**{**configured, **changes})

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
        return await self._guard.call(self.backend.access(deployment or await self.ready(_ignore)))

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
        return [*flows, *await self._guard.call(self.backend.resources())]

    async def remove(self, resource: Resource, report: Report) -> None:
        """Stop and delete something that is alive."""
        from phichat.workflow.flows import KIND

        if resource.kind == KIND:
            await self.flows.stop()
            return
        await self._guard.call(self.backend.remove(resource, report))

    def spending(self, alive: Sequence[Resource] = ()) -> Spending:
        """What jobs of this backend have cost by list price, and what of `resources` costs an hour."""
        rates = [each.usd_per_hour for each in alive]
        known = [rate for rate in rates if rate is not None]
        return self._spending(sum(known) if len(known) == len(rates) else None)

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

    def _spending(self, usd_per_hour: float | None) -> Spending:
        told = spent(self.training.ledger, self.config.backend)
        budget = self.training.budget
        return Spending(hours=told.hours, usd=told.usd, usd_per_hour=usd_per_hour, budget=budget)

    def _name(self, model: Job | str) -> str:
        """The name of a model's deployment: the configured endpoint, or the model's own name made legal."""
        if self.config.deploy.endpoint:
            return self.config.deploy.endpoint
        if isinstance(model, Job):
            label = model.id
        else:
            ref = models.resolve(model)
            label = ref.folder.name if ref.folder else ref.name
        return re.sub(r"[^a-z0-9.-]+", "-", label.lower()).strip("-.")[:32]

    async def _wanted(self) -> tuple[Deployment | None, DeploySpec]:
        """The current deployment if it is able to answer, and what to deploy if it is not."""
        current = self._current()
        if current is not None:
            there = {state.deployment.id: state for state in await self.deployments()}
            known = there.get(current.deployment.id)
            if known is not None:
                return known.deployment if known.healthy else None, current.spec
        return None, self.deploy_spec()

    async def serve(self, spec: DeploySpec, report: Report) -> Deployment:
        """Make a model answer beside the current deployment, which stays the current one."""
        await offer_token(spec.model)
        return await self._guard.call(self.backend.deploy(spec, report))

    async def _deploy(self, spec: DeploySpec, report: Report, max_usd: float | None = None) -> Deployment:
        if max_usd is not None or self.training.budget is not None:
            self.affordable(await self.estimate(spec), spec, max_usd)
        deployment = await self.serve(spec, report)
        await self._remember(spec, deployment)
        return deployment

    async def _remember(self, spec: DeploySpec, deployment: Deployment) -> None:
        current = _Current(base_model=self.base_model, spec=spec, deployment=deployment)
        await asyncio.to_thread(write_atomic, self._current_file, current.model_dump_json())

    @property
    def _current_file(self) -> Path:
        # One for each backend: who switches to another one and back finds what was there.
        return self.state / "current" / f"{self.config.backend}.json"

    def _current(self) -> _Current | None:
        """The deployment made last on this backend, if the config still asks for the same model."""
        try:
            current = _Current.model_validate_json(self._current_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return current if current.base_model == self.base_model else None


def _failed(error: PhichatError) -> Check:
    return Check(name="backend", ok=False, detail=error.message, fix=error.hint or "phichat backends")


def _ignore(event: object) -> None:
    """For what nobody waits to hear."""
