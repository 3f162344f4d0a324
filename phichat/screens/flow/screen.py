"""The flow server: the deployed model for other programs, started, stopped and evaluated beside Deploy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from phichat.flowrunner import EngineName
from phichat.screens.background import Done, Happened, Refused
from phichat.screens.choice import Choice
from phichat.screens.deploy.story import Story
from phichat.screens.flow.result import SetupOffer, result, state
from phichat.screens.flow.work import Flowing, FlowWork, Looked
from phichat.screens.session import Session
from phichat.screens.stage import StageScreen
from phichat.workflow.flows import PORT

if TYPE_CHECKING:
    from phichat.workflow import Project

CHOICES = ("serve", "chat", "deployment", "evaluate", "report", "end")


class FlowScreen(StageScreen):
    """The flow server of the project, over its current deployment."""

    stage = "deploy"
    SHELL: ClassVar[Mapping[str, str]] = {
        "flow.setup": "phichat flow setup",
        "flow.serve": "phichat flow serve --detach",
        "flow.evaluate": "phichat flow evaluate",
    }
    CSS_PATH = "screen.tcss"
    HELP = """
## Flow server

The deployed model as a flow: a server on this machine with a page, JSON and events for other programs. The
chats can be with it, as with any deployment. The evaluation asks it every row that was held out, and stands
beside what `phichat eval` has measured.
"""
    BINDING_GROUP_TITLE = "Flow server"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "setup", "Set up Prompt flow", tooltip="Get it: 400 MB.", id="flow.setup", show=False),
        Binding("s", "serve", "Start", tooltip="Start the server.", id="flow.serve", show=False),
        Binding("c", "chat", "Chat through it", tooltip="Ask the flow.", id="flow.chat", show=False),
        Binding(
            "d",
            "deployment",
            "Chat without it",
            tooltip="Let the deployment answer the chats again.",
            id="flow.deployment",
            show=False,
        ),
        Binding(
            "e", "evaluate", "Evaluate", tooltip="Ask what was held out.", id="flow.evaluate", show=False
        ),
        Binding("o", "report", "Report", tooltip="Open the report.", id="flow.report", show=False),
        Binding("x", "end", "Stop", tooltip="Stop the server.", id="flow.end", show=False),
        Binding(
            "p", "engine", "Engine", tooltip="Prompt flow, or the plain engine without it.", id="flow.engine"
        ),
        Binding("escape", "cancel", "Cancel", tooltip="Do not wait for it.", id="flow.cancel"),
        Binding("escape", "back", "Back", tooltip="Back to the deployments.", id="flow.back"),
        Binding("ctrl+r", "reload", "Look again", tooltip="See how it is now.", id="flow.reload"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.work = FlowWork(session, self)
        self.found: Flowing | None = None
        self.engine: EngineName = "promptflow"
        self.busy = False
        self._chosen = False
        """Whether the person has said which engine; until then it is that of the server that runs."""
        self._offer = SetupOffer()
        self._story = Story()
        self._project: Project | None = None

    def body(self) -> ComposeResult:
        with VerticalScroll(id="flow"):
            title = ("Flow server", "bold")
            yield Static(Content.assemble(title, "  the deployed model for other programs, with a page"))
            yield Static(id="flow-state")
            yield self._offer
            yield Horizontal(*(Choice(f"flow.{name}") for name in CHOICES), classes="choices")
            yield self._story
            yield Static(id="flow-result")

    def on_mount(self) -> None:
        self._offer.display = self._story.display = False
        self.query_one("#flow").focus()

    async def session_changed(self) -> None:
        if self.session.project is not self._project:
            # Another one, too, after the configuration was saved: nothing of the one before holds.
            self._project, self.found = self.session.project, None
            self.busy = False
            if self._project:
                self.work.look()
        self._show()

    async def carry_out(self, command: tuple[str, ...]) -> None:
        match command:
            case ("flow", "setup", *_):
                await self.action_setup()
            case ("flow", "serve", "--port", port) if port.isdecimal():
                await self._serve(int(port))
            case ("flow", "serve", *_):
                await self.action_serve()

    # What was found and done

    def on_looked(self, event: Looked) -> None:
        self.found = event.found
        if event.found.server and not self._chosen:
            self.engine = event.found.server.engine
        self._show()

    def on_happened(self, event: Happened) -> None:
        self._story.tell(event.event)

    def on_done(self, event: Done) -> None:
        self._end(event.told)

    async def on_refused(self, event: Refused) -> None:
        """Something could not be done, or was not wanted any more."""
        if event.problem:
            self._end("")
            await self.show_problem(event.problem)
        elif event.about == "work":
            self._end("Stopped.")

    # What the keys do

    async def action_setup(self) -> None:
        """Get Prompt flow."""
        await self._begin("Setting up Prompt flow")
        self.work.setup()

    async def action_serve(self) -> None:
        """Start the server."""
        await self._serve(PORT)

    async def action_chat(self) -> None:
        """Let the chats be with the flow server, and go there."""
        self.session.use_flow()
        await self.run_action("app.go('chat')")

    def action_deployment(self) -> None:
        """Let the chats be with the deployment again."""
        self.session.leave_flow()

    async def action_evaluate(self) -> None:
        """Ask the rows that were held out, and compare the answers with those that are wanted."""
        await self._begin("Evaluating through the flow")
        self.work.evaluate(self.engine)

    def action_report(self) -> None:
        """Open the report of the evaluation in a browser."""
        if self.found and self.found.evaluated:
            self.app.open_url(self.found.evaluated.flow.report.as_uri())

    async def action_end(self) -> None:
        """Stop the server."""
        await self._begin("Stopping the flow server")
        self.work.end()

    def action_engine(self) -> None:
        """Turn to the other engine; a server that runs goes on as it is."""
        self.engine = "plain" if self.engine == "promptflow" else "promptflow"
        self._chosen = True
        self._show()

    def action_cancel(self) -> None:
        """Let go of what is being done."""
        self.work.cancel()

    def action_back(self) -> None:
        """Back to the deployments."""
        self.dismiss()

    def action_reload(self) -> None:
        """See how it is now."""
        self.work.look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        found = self.found if not self.busy else None
        runs = found is not None and found.server is not None
        answers = self.session.readiness.phase == "ready"
        able = found is not None and (found.ready or self.engine == "plain") and answers
        match action:
            case "setup":
                return found is not None and not found.ready and self.engine == "promptflow"
            case "serve":
                return able and not runs
            case "evaluate":
                return able
            case "chat":
                return runs and answers and not self.session.through_flow
            case "deployment":
                return self.session.through_flow
            case "end":
                return runs
            case "report":
                return found is not None and found.evaluated is not None
            case "engine":
                return found is not None and not runs
            case "cancel":
                return self.busy
            case "back":
                return not self.busy
            case "reload":
                return self.session.project is not None and not self.busy
        return super().check_action(action, parameters)

    async def _serve(self, port: int) -> None:
        await self._begin("Starting the flow server")
        self.work.serve(self.engine, port)

    async def _begin(self, told: str) -> None:
        await self.clear_problem()
        self.busy = True
        self._story.display = True
        self._story.begin(told)
        self.bar.activity = told[:1].lower() + told[1:].partition(" ")[0]
        self._show()

    def _end(self, told: str) -> None:
        self.busy = False
        self.bar.activity = ""
        self._story.display = bool(told)  # otherwise what came of it is to be seen elsewhere
        self._story.end(told)
        self._show()
        self.work.look()
        self.session.look_soon()

    def _show(self) -> None:
        """Show how it is now."""
        self.bar.show()
        found = self.found
        told = state(found, self.engine, through=self.session.through_flow) if found else Content("Looking")
        self.query_one("#flow-state", Static).update(told)
        self._offer.display = self.check_action("setup", ()) is True
        self.query_one("#flow-result", Static).update(result(found.evaluated if found else None))
        self.refresh_bindings()
