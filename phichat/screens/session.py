"""The project that every screen works on: opened in the background, and its model made ready once."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from phichat.errors import PhichatError, PluginError
from phichat.screens.activity import Activity, News
from phichat.screens.readiness import Readiness, heard

if TYPE_CHECKING:
    from phichat.backends.base import ChatOptions, Deployment, DeploymentState, DeploySpec
    from phichat.events import Event, Piece, Reply
    from phichat.history import ConversationLog, Hit, StoredMessage
    from phichat.runs import Run
    from phichat.workflow import Project
    from phichat.workflow.standing import Standing
    from phichat.workflow.templates import Templates

REACH_AGAIN_S = 5.0
"""How long after a run was out of reach it is looked for again: at first, each time twice as long."""
REACH_AGAIN_AT_MOST_S = 300.0
PROGRESS_INTERVAL_S = 0.1
"""Progress comes once a chunk of a download; people see ten changes a second."""


def problem_of(error: Exception, backend: str = "") -> PhichatError:
    """The error as a person can read it; a stray exception is a bug, and whose bug is said."""
    if isinstance(error, PhichatError):
        return error
    culprit = f"the backend {backend!r}" if backend else "phichat"
    return PluginError(
        f"A bug in {culprit}: {type(error).__name__}: {error}",
        "Nothing of yours is lost. Try again, and report the message above to its authors.",
    )


def _load_backend(project: Project) -> None:
    _ = project.backend


def short_name(base_model: str) -> str:
    """A model's name as it fits a line: of a hub id or a path only the end."""
    return re.split(r"[\\/]", base_model.rstrip("\\/"))[-1].partition("@")[0]


class Session:
    """One project, opened after the first frame, and the deployment that answers its chats.

    Listeners are called at every change, from any thread: let them post a message, and read
    `readiness` when it arrives.
    """

    def __init__(self, open_project: Callable[[], Project]) -> None:
        self._open_project = open_project
        self._listeners: list[Callable[[], None]] = []
        self._ready = asyncio.Event()
        self._told = 0.0
        self._deployment: Deployment | None = None
        self._behind: Deployment | None = None
        """What answers the chats again when they leave the flow server; None: they are not with it."""
        self._starting: asyncio.Task[object] | None = None
        self._turning: asyncio.Task[None] | None = None
        """Looks for what answers the chats instead of a deployment that is gone."""
        self._looking: asyncio.Task[None] | None = None
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._out_of_reach: dict[str, asyncio.Event] = {}
        """Of runs that are followed and cannot be watched just now: set to look for them at once."""
        self._earlier: list[Project] = []
        """Projects that were open before this one: an answer of theirs may still be on its way."""
        self._templates: Templates | None = None
        self.project: Project | None = None
        """Another object after `reopen`."""
        self.readiness = Readiness()
        self.standing: Standing | None = None
        """How far the work is; None: nobody has looked yet."""
        self.activities: dict[str, Activity] = {}
        """The long work that goes on, by a name for each; the newest last."""
        self.overdue = ""
        """What the person was told of that is over its time to live; empty: of nothing."""
        self.news: list[News] = []
        """What has ended and nobody was told of yet."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Be told of every change."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Tell that one no more."""
        self._listeners.remove(listener)

    async def start(self, *, download: bool = False) -> None:
        """Open the project and make its model ready; weights that are missing are offered, or downloaded."""
        self._starting = asyncio.current_task()
        try:
            await self._start(download)
        except asyncio.CancelledError:
            self._say(Readiness("declined", size=self.readiness.size))
            raise
        except Exception as error:
            self._say(Readiness("failed", problem=problem_of(error, self.backend)))

    async def reopen(
        self, open_project: Callable[[], Project] | None = None, *, download: bool = False
    ) -> None:
        """Open the project as its files say now, or another one, and make its model ready; all are told."""
        if self._starting and self._starting is not asyncio.current_task():
            self._starting.cancel()
        if open_project:
            self._open_project = open_project
        for task in self._followed.values():
            task.cancel()
        if self.project:
            self._earlier.append(self.project)
        self.project, self.standing, self._deployment, self._behind = None, None, None, None
        self._templates = None
        self._ready.clear()
        self.activities.clear()
        self._say(Readiness("opening"))
        await self.start(download=download)

    def look_soon(self) -> None:
        """Find out anew how far the work is, what it costs, and which runs go on; follow each to its end.

        To be called by whoever changes that: data prepared, a run submitted, a model deployed or deleted.
        """
        if self.project:
            before = self._looking
            self._looking = asyncio.create_task(self._look(self.project, before))

    @property
    def looking(self) -> bool:
        """Whether `standing` is about to change."""
        return self._looking is not None and not self._looking.done()

    def working(self, key: str, what: str, share: float | None = None) -> None:
        """Say that long work goes on, under a name of its own, and how much of it is done."""
        before = self.activities.get(key)
        now = self.activities[key] = Activity(what, share)
        if str(now) != str(before):  # A percent at a time is often enough, and the last one is not lost.
            self._tell()

    def ended(self, key: str, news: str = "", *, ok: bool = True) -> None:
        """Say that long work goes on no more, and what everybody should be told of its end."""
        self.activities.pop(key, None)
        if news:
            self.news.append(News(news, ok))
        self._tell()

    async def deployment(self) -> Deployment:
        """What answers the chats, as soon as there is one."""
        while self._deployment is None:
            await self._ready.wait()
        return self._deployment

    async def conversation(self, conversation_id: str | None = None) -> ConversationLog:
        """A new conversation, kept from its first question on, or a stored one; once the project is open."""
        assert self.project is not None
        if conversation_id is None:
            return self.project.conversations.new()
        return await self.project.conversations.resume(conversation_id)

    async def ask(self, log: ConversationLog, question: str, attach: Sequence[Hit] = ()) -> StoredMessage:
        """Add a question to a conversation, whose beginning is summarised first if it no longer fits."""
        assert self.project is not None
        return await self.project.conversations.ask(log, question, attach, self._deployment)

    def answer(
        self,
        log: ConversationLog,
        deployment: Deployment,
        options: ChatOptions | None = None,
        *,
        continues: str | None = None,
    ) -> AsyncGenerator[Piece | Reply, None]:
        """The answer to what a conversation shows, each piece kept already; then the whole of it."""
        assert self.project is not None
        return self.project.conversations.answer(log, options, deployment, continues=continues)

    async def doubt(self, deployment: Deployment, reply: Reply) -> str:
        """Why an answer may be worse than its model; empty where nothing speaks against it."""
        assert self.project is not None
        if self._templates is None:
            from phichat.workflow.templates import Templates

            self._templates = Templates(self.project)
        return await self._templates.doubt(deployment, reply.template_sha256)

    async def deploy(self, spec: DeploySpec, report: Callable[[Event], None]) -> Deployment:
        """Make a model answer chats; from now on the chats are with it."""
        assert self.project is not None
        return self.adopt(await self.project.serving.deploy(spec, report))

    async def use(self, state: DeploymentState) -> Deployment:
        """Let the chats be with an existing deployment from now on."""
        assert self.project is not None
        return self.adopt(await self.project.serving.use(state))

    @property
    def through_flow(self) -> bool:
        """Whether the chats are with the flow server."""
        return self._behind is not None

    @property
    def answering(self) -> str:
        """The name of the deployment that the chats are with, or were before the flow server."""
        deployment = self._behind or self._deployment
        return deployment.id if deployment else ""

    def use_flow(self) -> None:
        """Let the chats be with the flow server from now on, as with a deployment."""
        from phichat.workflow.chatting import FLOW

        self._deployment, self._behind = FLOW, self._behind or self._deployment
        self._say(self.readiness)

    def leave_flow(self) -> None:
        """Let the chats be with the deployment again that they were with before."""
        if self._behind:
            self.adopt(self._behind)

    def adopt(self, deployment: Deployment) -> Deployment:
        """Let the chats be with a deployment that is able to answer."""
        self._deployment, self._behind = deployment, None
        self._templates = None  # of the same name there may be another one now
        self._say(Readiness("ready"))
        self._ready.set()
        return deployment

    def lost(self, deployment: Deployment) -> None:
        """Make ready what the project answers with now, if the chats were with a deployment that is gone."""
        if deployment in (self._deployment, self._behind):
            self._deployment, self._behind = None, None
            self._ready.clear()
            self._turning = asyncio.create_task(self.start())

    def supports(self, method: str) -> bool:
        """Whether the backend has an optional method; nothing is known before the project is open."""
        if self.project is None:
            return False
        try:
            return self.project.backend.supports(method)
        except PhichatError:  # a broken plugin, which is told where it matters
            return False

    def options(self) -> ChatOptions:
        """How to answer, as configured; once the project is open."""
        assert self.project is not None
        return self.project.conversations.options()

    @property
    def system(self) -> str:
        """The configured system prompt; empty until the project is open."""
        return self.project.config.chat.system if self.project else ""

    def decline(self) -> None:
        """Do without the download for now."""
        self._say(replace(self.readiness, phase="declined"))

    @property
    def backend(self) -> str:
        """The backend's name; empty until the project is open."""
        return self.project.config.backend if self.project else ""

    @property
    def base_model(self) -> str:
        """The model as the config names it; empty until the project is open."""
        return self.project.base_model if self.project else ""

    @property
    def model(self) -> str:
        """The model's short name; empty until the project is open."""
        return short_name(self.base_model)

    @property
    def questions(self) -> tuple[str, ...]:
        """Questions that were held out from what the model has learned; none of a base model."""
        return self.standing.questions if self.standing else ()

    async def aclose(self) -> None:
        """Let go of the project; what runs elsewhere runs on."""
        for task in (*self._followed.values(), self._looking, self._turning):
            if task:
                task.cancel()
        for project in (*self._earlier, self.project):
            if project:
                await project.aclose()

    async def _start(self, download: bool) -> None:
        self._say(Readiness("opening") if self.project is None else Readiness("preparing"))
        if self.project is None:
            # In a thread: reading config and importing the backend take longer than a key press may wait.
            self.project = await asyncio.to_thread(self._open_project)
            try:
                await asyncio.to_thread(_load_backend, self.project)
            finally:
                self.look_soon()
        size = await self.project.serving.model_size()
        if size != 0 and not download:
            self._say(Readiness("offered", size=size))
            return
        self._say(Readiness("preparing", size=size))
        self.adopt(await self.project.ready(self._report))
        self.look_soon()

    async def _look(self, project: Project, before: asyncio.Task[None] | None) -> None:
        from phichat.workflow.standing import standing

        if before:  # One after the other: the last one knows best.
            await asyncio.wait([before])
        try:
            found = await standing(project)
        except Exception as error:
            self.ended("look", problem_of(error, self.backend).message, ok=False)
            return
        if project is self.project:
            self.standing = found
            await self._remind(project)
            for run in found.running:
                if run.name not in self._followed:
                    self._followed[run.name] = asyncio.create_task(self._follow(project, run))
                elif resting := self._out_of_reach.get(run.name):
                    resting.set()  # somebody has changed something: it may be in reach now
            self._tell()

    async def _remind(self, project: Project) -> None:
        """Tell once of what is over its time to live and may cost on."""
        from phichat.workflow.lifetimes import overdue

        over = await asyncio.to_thread(overdue, project)
        if over and over != self.overdue:
            self.news.append(News(over, ok=False))
        self.overdue = over

    async def _follow(self, project: Project, run: Run) -> None:
        """Show how a run goes until it ends, and tell everybody how it ended.

        Out of reach is not the end: it is looked for again, ever more seldom, and told once.
        """
        told = ""
        delay = REACH_AGAIN_S
        try:
            while (problem := await self._watch(project, run)) is not None:
                if problem and problem != told:
                    self.ended(run.name, problem, ok=False)
                    told = problem
                resting = self._out_of_reach[run.name] = asyncio.Event()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await resting.wait()
                delay = min(2 * delay, REACH_AGAIN_AT_MOST_S)
                del self._out_of_reach[run.name]
        finally:
            self.activities.pop(run.name, None)
            self._followed.pop(run.name, None)
            self._out_of_reach.pop(run.name, None)
        self.look_soon()

    async def _watch(self, project: Project, run: Run) -> str | None:
        """Show how a run goes; returns why it could not be watched to its end, empty if nobody said.

        None: it has ended, and everybody was told how.
        """
        from phichat.workflow.course import Course

        training = "base_model" in type(run.spec).model_fields
        what = f"{'training' if training else 'evaluating'} {run.name}"
        course = Course()
        self.working(run.name, what)
        try:
            async with contextlib.aclosing(project.watch(run.name)) as events:
                async for event in events:
                    course.feed(event)
                    now = f"{what}: {course.aside}" if training and course.aside else what
                    self.working(run.name, now, course.share)
        except Exception as error:
            return problem_of(error, self.backend).message
        finally:
            self.activities.pop(run.name, None)
        if not (course.status and course.status.finished):
            return ""
        state = course.status.state
        self.ended(run.name, f"{what.capitalize()}: {state}.", ok=state == "succeeded")
        return None

    def _report(self, event: Event) -> None:
        if self.readiness.phase != "preparing":  # a thread of the backend's that is late
            return
        if now := heard(event, self.readiness.size):
            self._say(now, often=now.done is not None)

    def _say(self, readiness: Readiness, *, often: bool = False) -> None:
        self.readiness = readiness
        self._tell(often=often)

    def _tell(self, *, often: bool = False) -> None:
        now = time.monotonic()
        if often and now - self._told < PROGRESS_INTERVAL_S:
            return
        self._told = now
        for listener in self._listeners:
            listener()
