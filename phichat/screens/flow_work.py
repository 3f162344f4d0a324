"""What the screen of the flow server lets happen in the background, and what it says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.message import Message

from phichat.events import Event, Progress
from phichat.flowrunner import EngineName
from phichat.flowrunner.server import FlowServer
from phichat.screens.deploy_work import Done, Happened, Refused
from phichat.screens.session import Session, problem_of
from phichat.screens.wording import plural
from phichat.workflow.beside import Beside, beside

if TYPE_CHECKING:
    from textual.screen import Screen

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


class FlowWork:
    """Calls into the project's flows, each in a worker of the screen."""

    def __init__(self, session: Session, screen: Screen[None]) -> None:
        self._session = session
        self._screen = screen

    @property
    def _project(self) -> Project:
        assert self._session.project is not None
        return self._session.project

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
        self._screen.workers.cancel_group(self._screen, "work")

    def _do(self, about: str, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        # The call comes with the worker: one that is cancelled before it begins leaves nothing behind.
        call: Callable[[], Any] = partial(self._guarded, about, work, *given)
        self._screen.run_worker(call, group=about, exclusive=True, exit_on_error=False)

    async def _guarded(self, about: str, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Whatever goes wrong, say it."""
        try:
            await work(*given)
        except asyncio.CancelledError:
            self._tell(Refused(about, None))
            raise
        except Exception as error:
            self._tell(Refused(about, problem_of(error, self._session.backend)))

    def _tell(self, message: Message) -> None:
        self._screen.post_message(message)

    def _report(self, event: Event) -> None:
        self._tell(Happened(event))

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
