"""What the screen of the flow server lets happen in the background, and what it says of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from phichat.events import Event, Progress
from phichat.flowrunner import EngineName
from phichat.flowrunner.server import FlowServer
from phichat.screens.background import Background, Done
from phichat.screens.wording import plural
from phichat.workflow.beside import Beside, beside

if TYPE_CHECKING:
    from phichat.workflow import Project

ACTIVITY = "flow"
"""How the session calls the long work of this screen."""


@dataclass(frozen=True)
class Flowing:
    """How it is with the flow."""

    server: FlowServer | None
    ready: bool
    """Whether Prompt flow is set up."""
    evaluated: Beside | None


class Looked(Message):
    """How it is with the flow is known."""

    def __init__(self, found: Flowing) -> None:
        super().__init__()
        self.found = found


def look(project: Project) -> Flowing:
    """How it is with the flow of a project."""
    flows = project.flows
    return Flowing(flows.server(), flows.environment.ready, beside(project))


class FlowWork(Background):
    """Calls into the project's flows, each in a worker of the screen."""

    def look(self) -> None:
        """See how it is."""
        self._do("look", self._look)

    def setup(self) -> None:
        """Make the environment that Prompt flow runs in."""
        self._do("work", self._setup)

    def serve(self, name: EngineName, port: int) -> None:
        """Serve the chat flow over the current deployment."""
        self._do("work", self._serve, name, port)

    def end(self) -> None:
        """End the server."""
        self._do("work", self._end)

    def evaluate(self, name: EngineName) -> None:
        """Ask the rows that are held out, and compare."""
        self._do("work", self._evaluate, name)

    def cancel(self) -> None:
        """Let go of what is being done."""
        self._drop("work")

    async def _look(self) -> None:
        self._tell(Looked(await asyncio.to_thread(look, self._project)))

    async def _setup(self) -> None:
        await self._project.flows.setup(self._report)
        self._tell(Done("Prompt flow is set up."))

    async def _serve(self, name: EngineName, port: int) -> None:
        project = self._project
        project.flows.check(name)
        server = await project.flows.serve(await project.ready(self._report), name, port)
        self._tell(Done(f"The flow server runs at {server.url}, also when you leave."))

    async def _end(self) -> None:
        await self._project.flows.stop()
        self._session.leave_flow()
        self._tell(Done("The flow server is stopped."))

    async def _evaluate(self, name: EngineName) -> None:
        project, session = self._project, self._session
        batch = await project.flows.batch("evaluate", None, name)
        told = f"evaluating {plural(len(batch.rows), 'row')}"

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.total:
                session.working(ACTIVITY, told, event.done / event.total)
            self._report(event)

        session.working(ACTIVITY, told)
        try:
            await project.flows.run(batch, await project.ready(self._report), report)
        finally:
            session.ended(ACTIVITY)
        self._tell(Done(""))
