"""Flows over a project's deployment: their server, batches of rows, and evaluation."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from phichat.backends.base import Access, ChatOptions, Deployment, Message, Report, Resource
from phichat.backends.locks import locked
from phichat.config import Config
from phichat.config.secret import remember
from phichat.errors import DataError, NotFoundError
from phichat.events import Piece, Reply
from phichat.flowrunner import EngineName, Environment, engine
from phichat.flowrunner.engines import Flow
from phichat.flowrunner.rows import Asked, read_rows
from phichat.flowrunner.server import FlowServer, Servers
from phichat.runs import FlowSpec, Ledger, Run
from phichat.workflow.batches import FlowResult, Story, answered, kept
from phichat.workflow.chatting import timed, with_system

KIND = "flow server"
"""What `Resource.kind` says of the flow server."""
PORT = 8080
NAMES: dict[Flow, str] = {"chat": "flow-run", "evaluate": "flow-evaluate"}
"""How the runs of the ledger are called, by the flow."""
Reach = Callable[[Deployment], Awaitable[Access]]


class Batch(NamedTuple):
    """What to ask, and how."""

    flow: Flow
    engine: EngineName
    data: Path
    """Where the rows are from."""
    rows: Sequence[Asked]


class Flows:
    """The flows of one project. All state is in its folder; only the environment of Prompt flow is shared."""

    def __init__(self, config: Config, state: Path, cache: Path, ledger: Ledger, reach: Reach) -> None:
        self.servers = Servers(state / "flow")
        self._cache = cache
        self._config = config
        self._ledger = ledger
        self._reach = reach
        self._data = state / "data"

    @property
    def environment(self) -> Environment:
        """What Prompt flow runs in, made or not."""
        return Environment(self._cache)

    async def setup(self, report: Report) -> None:
        """Make the environment that Prompt flow runs in, if it is not there.

        Raises:
            BackendError: it cannot be made.
        """
        await self.environment.setup(report)

    def check(self, name: EngineName) -> None:
        """See that an engine is there, before a deployment is made for it.

        Raises:
            ConfigError: it is not set up.
        """
        engine(name, self.environment).check()

    # The server

    async def serve(
        self, deployment: Deployment, name: EngineName = "promptflow", port: int = PORT
    ) -> FlowServer:
        """Serve the chat flow over a deployment, on this machine; a server that does is found again.

        Raises:
            ConfigError: the port is taken, or the engine is not set up.
            BackendError: the server ended, or the deployment cannot be reached by others.
        """
        chosen = engine(name, self.environment)
        chosen.check()
        access = await self._reach(deployment)
        environ = self._environ(access, self._options())
        wanted = FlowServer(
            engine=name,
            port=port,
            upstream=access.base_url,
            deployment=deployment.id,
            asks=hashlib.sha256(json.dumps(environ, sort_keys=True).encode()).hexdigest()[:16],
        )
        self.servers.folder.mkdir(parents=True, exist_ok=True)
        async with locked(self.servers.lock):
            await self.servers.start(chosen, wanted, environ)
        return wanted

    def server(self) -> FlowServer | None:
        """The server that runs, if one does."""
        return self.servers.running()

    async def stop(self) -> None:
        """End the server; one that is gone already is no error."""
        self.servers.folder.mkdir(parents=True, exist_ok=True)
        async with locked(self.servers.lock):
            await self.servers.stop()

    def resources(self) -> list[Resource]:
        """The server as something that is alive; it costs nothing."""
        running = self.server()
        return (
            [Resource(kind=KIND, name="flow", state=f"{running.engine} at {running.url}")] if running else []
        )

    async def chat(
        self, messages: Sequence[Message], system: str | None = None
    ) -> AsyncGenerator[Piece | Reply, None]:
        """The answer of the flow that runs; it counts no tokens. Closing this stops the model.

        The system prompt, the configured one if none is given, is put first unless the messages bring one.

        Raises:
            NotFoundError: no flow server runs.
            BackendError: the flow refused, or its answer broke off.
        """
        from phichat.flowrunner.client import stream_flow

        running = self.server()
        if running is None:
            raise NotFoundError("No flow server runs.", "phichat flow serve")
        messages = with_system(messages, self._config.chat.system if system is None else system)
        async with contextlib.aclosing(stream_flow(running.url, messages)) as parts:
            async for part in timed(parts, time.monotonic()):
                yield part

    # Batches

    async def batch(
        self, flow: Flow, data: Path | None, name: EngineName = "promptflow", limit: int | None = None
    ) -> Batch:
        """What to ask: at most `limit` rows of a file, or those that the prepared data holds out.

        Raises:
            ConfigError: the engine is not set up.
            DataError: the file cannot be read, or nothing was held out.
        """
        self.check(name)
        return await asyncio.to_thread(self._read, flow, name, data, limit)

    async def run(self, batch: Batch, deployment: Deployment, report: Report) -> FlowResult:
        """Ask every row, and in an evaluation compare each answer with the one that is wanted.

        A row that fails is in the result, with its reason.

        Raises:
            BackendError: the flow failed as a whole, or the deployment cannot be reached by others.
        """
        access = await self._reach(deployment)
        spec = FlowSpec(
            name=self._ledger.free_name(NAMES[batch.flow]),
            flow=batch.flow,
            engine=batch.engine,
            data=batch.data,
            deployment=deployment.id,
        )
        # An evaluation is to give the same numbers again.
        options = self._options() if batch.flow == "chat" else self._options(temperature=0.0)
        run = Run(name=spec.name, backend=self._config.backend, spec=spec)
        with Story(self._ledger, run, report) as story:
            chosen = engine(batch.engine, self.environment)
            return await answered(chosen, spec, batch.rows, self._environ(access, options), story)

    def latest(self, flow: Flow = "evaluate") -> FlowResult | None:
        """What became of the batch of a flow that was carried through last, on this backend."""
        for run in self._ledger.runs():
            if not isinstance(run.spec, FlowSpec) or run.spec.flow != flow:
                continue
            if run.backend == self._config.backend and (found := kept(self._ledger, run)):
                return found
        return None

    def _read(self, flow: Flow, name: EngineName, data: Path | None, limit: int | None) -> Batch:
        data = data.absolute() if data else self._held_out()
        return Batch(flow, name, data, read_rows(data, limit))

    def _held_out(self) -> Path:
        """The rows that the data prepared last holds out.

        Raises:
            DataError: there is none.
        """
        from phichat.data import current

        prepared = current(self._data)
        if prepared is None or prepared.dataset.eval_file is None:
            raise DataError("No rows are held out to evaluate on.", "phichat data SOURCE, or name a file")
        return prepared.dataset.eval_file

    def _options(self, **changes: Any) -> ChatOptions:
        chat = self._config.chat
        configured = {
            name: getattr(chat, name) for name in ("max_new_tokens", "temperature", "top_p", "seed")
        }
        return ChatOptions(**{**configured, **changes})

    def _environ(self, access: Access, options: ChatOptions) -> dict[str, str]:
        """What the flow reads: where to ask, with which key, and how; for processes, not to be kept."""
        remember(access.key)
        body = {
            "model": access.model,
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            **({} if options.seed is None else {"seed": options.seed}),
        }
        return {
            "OPENAI_BASE_URL": access.base_url,
            "OPENAI_API_KEY": access.key,
            "CHAT_FLOW_OPTIONS": json.dumps(body),
            "CHAT_FLOW_SYSTEM": self._config.chat.system,
        }
