"""The screen Deploy: what answers chats, on any backend, and how another model gets there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from phichat.backends.base import DeploymentState, Job, Resource
from phichat.errors import PhichatError, UnavailableError
from phichat.screens.background import Done, Happened, Refused
from phichat.screens.choice import Choice
from phichat.screens.deploy.asked import HandOver
from phichat.screens.deploy.choosing import Choosing
from phichat.screens.deploy.keys import KEYS, SHELL
from phichat.screens.deploy.plan import plan, question
from phichat.screens.deploy.rows import about, alive, everything, listed, name_of
from phichat.screens.deploy.stories import Stories
from phichat.screens.deploy.work import CHANGE, Priced, Said, Seen, Turned, Work, title_of
from phichat.screens.listing import Listing
from phichat.screens.question import Question
from phichat.screens.session import Session
from phichat.screens.stage import StageScreen
from phichat.screens.train.panels import Trouble

if TYPE_CHECKING:
    from phichat.workflow import Project

Place = Literal["opening", "trouble", "list", "choose"]
OF_ONE = ("use", "call", "logs", "shift", "delete")
"""What is done with the deployment under the cursor."""
OF_ALL = ("new", "rollback", "down", "stop")


class DeployScreen(StageScreen):
    """The deployments above, and below what is done with them."""

    stage = "deploy"
    SHELL: ClassVar[Mapping[str, str]] = SHELL
    CSS_PATH = "screen.tcss"
    HELP = """
## Deploy

The deployments of this project: which model each serves, how many of the requests it answers, whether it
is healthy, and what it costs. N makes another model answer, after a look at the steps and the price; Enter
lets the chats be with the deployment under the cursor. What others have made can only be chatted with.
"""
    BINDING_GROUP_TITLE = "Deploy"
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.place: Place = "opening"
        self.work = Work(session, self)
        self.states: dict[str, DeploymentState] = {}
        self.resources: Sequence[Resource] = ()
        self.changing = False
        """A deployment is being made, shifted or removed: one at a time, and meanwhile one can read."""
        self._obstacle = Trouble()
        self._list = Listing(id="deployments")
        self._choosing = Choosing()
        self._stories = Stories()
        self._project: Project | None = None

    def body(self) -> ComposeResult:
        with Vertical(id="deploy"):
            yield self._obstacle
            with Vertical(id="there"):
                yield Static(id="nothing")
                yield self._list
                yield Static(id="deploy-about")
                yield Horizontal(*(Choice(f"deploy.{name}") for name in OF_ONE), classes="choices")
                yield Static(id="deploy-alive")
                yield Horizontal(*(Choice(f"deploy.{name}") for name in OF_ALL), classes="choices")
                yield self._stories
            yield self._choosing

    def on_mount(self) -> None:
        self._go("opening")

    async def session_changed(self) -> None:
        problem = self.session.readiness.problem
        if self.session.project is None and problem:
            await self._fail(problem)
        elif self.session.project is not self._project:
            # Another one, too, after the configuration was saved: nothing of the one before holds.
            self._project = self.session.project
            await self._begin_anew()

    def on_screen_resume(self) -> None:
        if self._project:
            self.work.look()

    async def _begin_anew(self) -> None:
        """See what the project has deployed."""
        self._go("opening")
        if self._project:
            self.work.look()

    def deploy(self, model: Job | str, *, then_chat: bool = False) -> None:
        """Deploy a model, after a question where it costs or has to be downloaded; then, if wanted, chat."""
        self._go("list")
        if self.changing:
            told = f"{title_of(model)} is not deployed: what was begun before goes on."
            self.call_later(
                self.show_problem, UnavailableError(told, "Wait for it, or cancel it on this screen.")
            )
            return
        self._begin(f"Deploying {title_of(model)}")
        self.work.price(model, then_chat=then_chat)

    # What was found and done

    def on_seen(self, event: Seen) -> None:
        """The deployments are known, and the models that could be deployed."""
        self.states = {state.deployment.id: state for state in event.states}
        self.resources = event.resources
        shared = self.work.supports("set_traffic")
        head, rows = listed(event.states, event.resources, self.session.answering, shared=shared)
        self._list.show(head, rows)
        self._list.display = bool(rows)
        self._tell_about()
        self.query_one("#nothing", Static).update("" if rows else "Nothing is deployed yet.")
        self.query_one("#nothing").display = not rows
        self._choosing.show(event.candidates)
        if self.place in ("opening", "trouble"):
            self._go("list")
        self.refresh_bindings()

    def on_priced(self, event: Priced) -> None:
        """What it would take is known: what costs or has to be downloaded is asked about."""
        spec, asked = event.spec, question(event.spec, event.estimate)
        if not asked:
            self.work.deploy(spec, then_chat=event.then_chat)
            return
        told = plan(event)
        box: Question = (
            HandOver(asked, told, gradual=spec.gradual) if event.displaces else Question(asked, details=told)
        )

        def answered(yes: bool | None) -> None:
            if yes:
                gradual = box.gradual if isinstance(box, HandOver) else spec.gradual
                self._begin(f"Deploying {title_of(spec.model)}")
                chosen = spec.model_copy(update={"gradual": gradual})
                self.work.deploy(chosen, then_chat=event.then_chat)
            else:
                self._end("Not deployed.")

        self._end("")
        self.app.push_screen(box, answered)

    def on_happened(self, event: Happened) -> None:
        self._stories.doing.tell(event.event)

    async def on_done(self, event: Done) -> None:
        """It is done; who wanted to chat goes there."""
        self._end(event.told)
        await self._look_anew(then_chat=event.then_chat)

    async def on_turned(self, event: Turned) -> None:
        """The chats are with another deployment: go there."""
        self._has_read(f"{event.deployment.id} answers the chats now.")
        await self._look_anew(then_chat=True)

    def on_said(self, event: Said) -> None:
        self._has_read(event.title, event.text)

    async def on_refused(self, event: Refused) -> None:
        """Something could not be done, or was not wanted any more."""
        if event.about == "look" and event.problem and self.place in ("opening", "trouble"):
            await self._fail(event.problem)
            return
        if event.about == CHANGE:
            self._end("" if event.problem else "Stopped. What runs already runs on.")
        elif event.problem:  # else something else is read by now
            self._has_read()
        if event.problem:
            self._stories.doing.halt()
            await self.show_problem(event.problem)

    # What the keys do

    def action_new(self) -> None:
        """Choose a model to deploy."""
        if self._project:
            self._choosing.begin(self._project.loaded.cwd)
        self._go("choose")

    def action_use(self) -> None:
        """Chat with the deployment under the cursor."""
        if state := self.selected:
            self._read(f"Turning to {state.deployment.id}")
            self.work.use(state)

    def action_call(self) -> None:
        """Ask the deployment under the cursor something."""
        if state := self.selected:
            self._read(f"Asking {state.deployment.id}")
            self.work.call(state.deployment)

    def action_logs(self) -> None:
        """Read what the deployment under the cursor has written."""
        if state := self.selected:
            self._read(f"Reading the log of {state.deployment.id}")
            self.work.logs(state.deployment)

    def action_shift(self) -> None:
        """Choose how many of the requests the deployment under the cursor is to answer."""
        from phichat.screens.deploy.share import GRADUALLY, ShareScreen

        state = self.selected
        if state is None:
            return

        def chosen(percent: int | None) -> None:
            if percent == GRADUALLY:
                self._begin(f"Sending more and more requests to {state.deployment.id}")
                self.work.shift_gradually(state.deployment)
            elif percent:
                share = "all" if percent == 100 else f"{percent} % of the"
                self._begin(f"Sending {share} requests to {state.deployment.id}")
                self.work.shift(state.deployment, percent)

        others = any(each.traffic and each.healthy for each in self._beside(state))
        self.app.push_screen(ShareScreen(name_of(state), state.traffic, others=others), chosen)

    def action_rollback(self) -> None:
        """Give all requests back to the deployment that answered before."""
        self._begin("Rolling back")
        self.work.rollback()

    def action_delete(self) -> None:
        """Stop and delete the deployment under the cursor, after a question."""
        state = self.selected
        if state is None:
            return
        name = state.deployment.id

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(f"Deleting {name}")
                self.work.delete(state.deployment)

        heirs = any(each.healthy for each in self._beside(state))
        told = "Its model stays."
        if state.endpoint and state.traffic:
            rest = "The others answer its requests." if heirs else "Nobody answers its requests then."
            told = f"{told} {rest}"
        self.app.push_screen(Question(f"Stop and delete {name}?", told), answered)

    def action_down(self) -> None:
        """Stop and delete all that is alive, after a question."""

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin("Taking all down")
                self.work.down(self.resources)

        asked = "Stop and delete all that is alive? The models and the data stay."
        self.app.push_screen(Question(asked, details=everything(self.resources)), answered)

    def action_stop(self) -> None:
        """Let go of what is being deployed or changed."""
        self.work.stop()

    def action_flow(self) -> None:
        """Serve, ask and evaluate the deployed model through a flow."""
        from phichat.screens.flow.screen import FlowScreen

        self.app.push_screen(FlowScreen(self.session))

    async def carry_out(self, command: tuple[str, ...]) -> None:
        match command:
            case ("flow", *_):
                from phichat.screens.flow.screen import FlowScreen

                screen = FlowScreen(self.session)
                await self.app.push_screen(screen)
                await screen.carry_out(command)
            case ("deploy",) if self.check_action("new", ()):
                self.action_new()
            case ("rollback",) if self.check_action("rollback", ()):
                self.action_rollback()
            case ("logs", name) if name in self.states and self.work.supports("logs"):
                self._list.go_to(name)
                self.action_logs()
            case _:
                await super().carry_out(command)

    def action_back(self) -> None:
        """Back to the deployments."""
        self._go("list")

    def action_reload(self) -> None:
        """See what is deployed now."""
        self.work.look()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_list is self._list:
            self.action_use()

    def on_choosing_chosen(self, event: Choosing.Chosen) -> None:
        self.deploy(event.model)

    def on_option_list_option_highlighted(self) -> None:
        self._tell_about()
        self.refresh_bindings()

    @property
    def selected(self) -> DeploymentState | None:
        """The deployment under the cursor."""
        return self.states.get(self._list.selected or "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now, and what the backend cannot do at all."""
        here = self.place == "list"
        free = here and not self.changing
        state = self.selected if here else None
        ours = state is not None and not state.foreign
        match action:
            case "use" | "call":
                return state is not None
            case "logs":
                return ours and self.work.supports("logs")
            case "reload":
                return self.session.project is not None
            case "back":
                return self.place == "choose"
            case "stop":
                return self.changing
            case "flow":
                return free
            case "new":
                return free and bool(self._choosing.candidates)
            case "delete":
                return free and ours
            case "down":
                return free and bool(self.resources) and self.work.supports("remove")
            case "shift":
                shared = free and ours and self.work.supports("set_traffic")
                return shared and state is not None and state.healthy and state.traffic < 100
            case "rollback":
                before = any(each.previous and each.healthy for each in self.states.values())
                return free and before and self.work.supports("set_traffic")
        return super().check_action(action, parameters)

    def _beside(self, state: DeploymentState) -> list[DeploymentState]:
        """The other deployments of its endpoint."""
        same = (each for each in self.states.values() if each.endpoint and each.endpoint == state.endpoint)
        return [each for each in same if each.deployment != state.deployment]

    def _tell_about(self) -> None:
        """Say more of the deployment under the cursor, and what costs beside the deployments."""
        state = self.selected
        told = about(state, self.resources) if state else Content("")
        rest = alive(self.states, self.resources)
        for name, text in (("#deploy-about", told), ("#deploy-alive", Content(rest))):
            self.query_one(name, Static).update(text)
            self.query_one(name).display = bool(text.plain)

    async def _look_anew(self, *, then_chat: bool) -> None:
        """Something is another way than before; who wanted to chat goes there."""
        self.work.look()
        self.session.look_soon()
        if then_chat and self.is_current:
            await self.run_action("app.go('chat')")

    def _begin(self, told: str) -> None:
        """Something is being changed from now on."""
        self.changing = True
        self.call_later(self.clear_problem)
        self._stories.do(told)
        self._busy(told)
        self.refresh_bindings()

    def _end(self, told: str) -> None:
        """It is changed, or will not be."""
        self.changing = False
        self._busy("")
        if told:
            self._stories.doing.end(told)
        self.refresh_bindings()

    def _read(self, told: str) -> None:
        """Something of a deployment is being read from now on, maybe while another one is changed."""
        self.call_later(self.clear_problem)
        self._stories.read(told, meanwhile=self.changing)
        if not self.changing:
            self._busy(told)

    def _has_read(self, title: str = "", text: str = "") -> None:
        """It is read, or cannot be."""
        self._stories.has_read(title, text)
        if not self.changing:
            self._busy("")

    def _busy(self, told: str) -> None:
        self.bar.activity = told[:1].lower() + told[1:].partition(" ")[0]
        self.bar.show()

    def _go(self, place: Place) -> None:
        """Show one of the places of this screen."""
        self.place = place
        self._obstacle.display = place == "trouble"
        self.query_one("#there").display = place == "list"
        self._choosing.display = place == "choose"
        if place == "list" and self._list.display:
            self._list.focus()
        elif place == "choose":
            self._choosing.enter()
        else:
            self.set_focus(None)
        self.refresh_bindings()

    async def _fail(self, problem: PhichatError) -> None:
        await self._obstacle.show(problem, "deploy.reload" if self.session.project else "model.retry")
        self._go("trouble")
