"""The Textual application: themes, keys and the screens, over one project that opens in the background."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen
from textual.theme import Theme
from textual.widget import Widget
from textual.worker import Worker

from phichat.paths import user_folders, write_atomic
from phichat.screens import themes
from phichat.screens.activity import News
from phichat.screens.app_keys import KEYS, SHELL
from phichat.screens.attention import Attention
from phichat.screens.clipboard import Copy, CopyingApp
from phichat.screens.harmless import Harmless
from phichat.screens.keymap import is_plain, keep_alt_digits, name_keys, settle
from phichat.screens.keys import JUMP, Action, actions
from phichat.screens.readiness import Obstacle
from phichat.screens.session import Session, problem_of
from phichat.screens.stage import StageScreen
from phichat.screens.stages import STAGES

if TYPE_CHECKING:
    from phichat.backends.base import Resource
    from phichat.screens.configure.setup import Beginning
    from phichat.screens.remedies import Remedy
    from phichat.workflow import Project

WIDTHS = [(0, "-narrow"), (100, "-wide")]
"""From so many columns on a screen has this class, for the styles."""
CLOSE_S = 2.0
"""How long a backend may take to let go."""


def run(open_project: Callable[[], Project]) -> int:
    """Open the application; the project is opened after the first frame. Returns the exit code."""
    app = PhichatApp(open_project)
    app.run()
    return app.return_code or 0


class PhichatApp(CopyingApp, inherit_bindings=False):
    """From nothing to chatting with a model of one's own."""

    TITLE = "phichat"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = WIDTHS
    PAUSE_GC_ON_SCROLL = True
    BINDING_GROUP_TITLE = "Everywhere"
    DEFAULT_MODE = "chat"
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    class ReadinessChanged(Message):
        """The model is nearer, or farther, than before."""

    class FirstStart(Message):
        """Nobody has used phichat here before."""

    def __init__(self, open_project: Callable[[], Project]) -> None:
        super().__init__()
        keep_alt_digits()
        for theme in themes.THEMES.values():
            self.register_theme(theme)
        self.theme = _remembered_theme()
        for name in self.available_themes.keys() - themes.THEMES.keys():
            self.unregister_theme(name)
        self._harmless = Harmless()
        self.session = Session(open_project)
        self._model: Worker[None] | None = None
        self._configured: Project | None = None
        self._attention = Attention(self)
        self._obstacle: Obstacle = ""
        self._first = next(stage for stage in STAGES if stage.name == self.DEFAULT_MODE)
        for stage in STAGES:
            if stage.name != self.DEFAULT_MODE:
                self.add_mode(stage.name, partial(stage.open, self.session))

    def _register_child(self, parent: DOMNode, child: Widget, before: int | None, after: int | None) -> None:
        name_keys(child)  # every widget comes by here, Textual's own and those of others included
        super()._register_child(parent, child, before, after)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line of every widget goes through before it is drawn."""
        return [*super().get_line_filters(), self._harmless]

    def get_default_screen(self) -> Screen[None]:
        """The screen that the application opens on."""
        return self._first.open(self.session)

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, _remember_theme)
        self.session.listen(self._tell)
        # Whatever is not needed to draw the first frame and to take keys comes after it.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        # Not before: Textual would parse and apply every style twice for the first frame.
        self.add_mode(self._first.name, partial(self._first.open, self.session))
        self._start_model()
        self.run_worker(
            partial(import_module, "phichat.screens.chat.messages"),
            group="imports",
            thread=True,
            exit_on_error=False,
        )

    def _tell(self) -> None:
        self.post_message(self.ReadinessChanged())

    async def on_phichat_app_readiness_changed(self) -> None:
        if self.session.project and self.session.project is not self._configured:
            self._configured = self.session.project
            await self._configure(self.session.project)
            welcome = self._welcome(self.session.project)
            self.run_worker(welcome, group="welcome", exclusive=True, exit_on_error=False)
        while self.session.news:
            self.announce(self.session.news.pop(0))
        if self.session.readiness.obstacle != self._obstacle:
            self._obstacle = self.session.readiness.obstacle
            self.refresh_bindings()

    async def on_unmount(self) -> None:
        # A backend that cannot let go must not keep the terminal.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await self.session.aclose()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action that is possible now, then themes and a picture of the screen."""
        for action in actions(screen).values():
            plain = is_plain(action.id) or action.id.startswith(JUMP)
            if not plain and action.id != "app.palette":
                yield SystemCommand(action.binding.description, self._told(action), action.run)
        yield SystemCommand("Theme", "Choose the colours.", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save a picture of the screen as SVG.", self.deliver_screenshot)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        obstacle = self.session.readiness.obstacle
        match action:
            case "download":
                return obstacle in ("offered", "declined")
            case "cancel":
                return obstacle == "downloading"
            case "decline":
                return obstacle == "offered"
            case "retry":
                return obstacle == "failed"
            case "remedy":
                return self._remedy() is not None
            case "sign_in" | "provision":
                return isinstance(self.screen, StageScreen) and self.session.supports(action)
            case "setup":
                project = self.session.project
                return project is not None and project.root is None and isinstance(self.screen, StageScreen)
            case "go_to":
                return isinstance(self.screen, StageScreen)
        return super().check_action(action, parameters)

    async def action_go(self, stage: str) -> None:
        """Go to the screen of a stage."""
        if self.current_mode == stage:
            return
        try:
            await self.switch_mode(stage)
        except Exception as error:  # a screen that cannot be made must not take the others with it
            self.announce(News(problem_of(error).message, ok=False))

    async def action_go_to(self) -> None:
        """Show the screens with their numbers, and go to the chosen one."""
        from phichat.screens.goto import GoToScreen

        def go(stage: str | None) -> None:
            if stage:
                self.call_later(self.action_go, stage)

        await self.push_screen(GoToScreen(self.session, self.current_mode), go)

    def action_setup(self, first: bool = False) -> None:
        """Make a project: where, on which backend, from which model; then go to the chat."""
        from phichat.screens.configure.setup import SetupScreen

        if self.session.project:
            self.push_screen(SetupScreen(self.session.project, first=first), partial(self._set_up, first))

    def _set_up(self, first: bool, made: Beginning | None) -> None:
        """Open the project that was made, and go to its chat; whoever made none is not asked again."""
        project = self.session.project
        if project is None:
            return
        self.run_worker(partial(_remember_asked, project), group="asked", thread=True, exit_on_error=False)
        if made:
            opening = self._move(project, made, first)
            self._model = self.run_worker(opening, group="model", exclusive=True, exit_on_error=False)
            self.call_later(self.action_go, "chat")
            if made.folder != project.loaded.cwd:
                told = f"The project is in {made.folder}: start phichat there the next time."
                self.notify(told, timeout=8, markup=False)

    async def _move(self, project: Project, made: Beginning, first: bool) -> None:
        """Open the project that was made; what was started before anybody was asked ends."""
        if first:
            with contextlib.suppress(Exception):  # then it ends by itself when nobody asks it anything
                for state in await project.serving.states():
                    await project.serving.delete(state.deployment)
        await self.session.reopen(partial(project.elsewhere, made.folder), download=made.agreed)

    async def _welcome(self, project: Project) -> None:
        """Let a person begin with the set-up, if they have neither been here nor begun otherwise."""
        from phichat.workflow.beginning import first_start

        if await first_start(project):
            self.post_message(self.FirstStart())

    def on_phichat_app_first_start(self) -> None:
        if isinstance(self.screen, StageScreen) and self.screen.untouched:
            self.action_setup(first=True)

    async def action_remedy(self) -> None:
        """Do what the hint of the error on the screen says."""
        if found := self._remedy():
            await self.perform(found)

    async def on_stage_screen_mend(self, event: StageScreen.Mend) -> None:
        await self.perform(event.found)

    async def perform(self, found: Remedy) -> None:
        """Do what mends something."""
        if found.text:
            self.post_message(Copy(found.text, f"The command {found.text}"))
            return
        if found.command[:2] == ("models", "pull") and found.command[2:] == (self.session.base_model,):
            self.action_download()
            return
        if self._performed(found):
            return
        await self.action_go(found.stage)
        if isinstance(self.screen, StageScreen) and found.command:
            await self.screen.carry_out(found.command)

    def _performed(self, found: Remedy) -> bool:
        """Do what needs no other screen; whether it was that."""
        verb = found.command[0] if found.command else ""
        if verb == "login" and self.session.supports("sign_in"):
            self.action_sign_in()
        elif verb == "provision" and self.session.supports("provision"):
            self.action_provision()
        else:
            return False
        return True

    def action_sign_in(self) -> None:
        """Sign in where the work happens, then go on where one was."""
        from phichat.screens.configure.sign_in import SignInScreen

        if self.session.project:
            self.push_screen(SignInScreen(self.session), self._mended)

    def action_provision(self) -> None:
        """See what the place still needs, and make it, then go on where one was."""
        from phichat.screens.configure.provision import ProvisionScreen

        if self.session.project:
            self.push_screen(ProvisionScreen(self.session), self._mended)

    async def _mended(self, done: bool | None) -> None:
        """Let the screen look again, unless nothing has changed."""
        mended = getattr(self.screen, "mended", None)
        if done and mended is not None:
            self.session.look_soon()
            await mended()

    def announce(self, news: News) -> None:
        """Tell the end of long work on whatever screen one is, and call back who looks elsewhere."""
        severity: Literal["information", "error"] = "information" if news.ok else "error"
        self.notify(news.text, severity=severity, timeout=8, markup=False)
        self._attention.call(news.text)

    def on_app_focus(self) -> None:
        self._attention.end()
        if self._costing:  # what costs comes and goes by itself, as the nodes of a cluster
            self.session.look_soon()

    def action_download(self) -> None:
        """Download the model's weights and start it."""
        self._start_model(download=True)

    def action_cancel(self) -> None:
        """Stop the download."""
        if self._model:
            self._model.cancel()

    def action_decline(self) -> None:
        """Do without the model for now."""
        self.session.decline()

    def action_retry(self) -> None:
        """Open the project again, if that failed, and start the model."""
        self._start_model()

    async def action_quit(self) -> None:
        """Leave; where something goes on costing, say so first."""
        from phichat.screens.leaving import LeavingScreen

        costing = self._costing
        if not costing or isinstance(self.screen, LeavingScreen):  # who says it twice means it
            self.exit()
            return

        def answered(leave: bool | None) -> None:
            if leave:
                self.exit()

        self.push_screen(LeavingScreen(self.session, costing), answered)

    async def action_interrupt(self) -> None:
        """Say how to quit; where something would go on costing, ask about that."""
        if self._costing:
            await self.action_quit()
        else:
            self.action_help_quit()

    @property
    def _costing(self) -> Sequence[Resource]:
        """What costs by the hour, as far as anybody has looked."""
        return self.session.standing.costing if self.session.standing else ()

    def action_help(self) -> None:
        """Show help for what has the focus."""
        from phichat.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def _start_model(self, *, download: bool = False) -> None:
        start = self.session.start(download=download)
        self._model = self.run_worker(start, group="model", exclusive=True, exit_on_error=False)

    def _remedy(self) -> Remedy | None:
        """What can be done here about the error that is on the screen."""
        shown = self.screen.query("Words")
        if not shown:  # as on the first frame, which does not wait for what errors need
            return None
        from phichat.screens.panels import Words, stage_of
        from phichat.screens.remedies import remedy

        here = stage_of(self.screen)
        return next((remedy(words.problem, here) for words in reversed([*shown.results(Words)])), None)

    def _told(self, action: Action) -> str:
        """What an action does, and the command that does the same in a shell."""
        commands = self.screen.SHELL if isinstance(self.screen, StageScreen) else {}
        command = {**SHELL, **commands}.get(action.id, "")
        told = action.binding.tooltip
        return f"{told} In a shell: {command.format(model=self.session.base_model)}" if command else told

    async def _configure(self, project: Project) -> None:
        """Take theme and keys from the config; what does not exist is said, and left out."""
        wanted, theme = project.config.keys, project.config.theme
        keys, told = await asyncio.to_thread(settle, type(self), wanted) if wanted else ({}, [])
        self.set_keymap(keys)
        for each in told:
            self.notify(each, severity="warning", timeout=8, markup=False)
        if theme and theme not in self.available_themes:
            names = ", ".join(self.available_themes)
            self.notify(f"There is no theme {theme!r}, but {names}.", severity="warning", markup=False)
        elif theme:
            self.theme = theme
        from phichat.workflow.lifetimes import overdue

        # At once, also where nobody can be asked; what runs out later is told when somebody looks.
        if over := await asyncio.to_thread(overdue, project):
            self.session.overdue = over
            self.notify(over, severity="warning", timeout=20, markup=False)


def _remembered_theme() -> str:
    """The theme of the last time: the config is read too late for the first frame."""
    with contextlib.suppress(OSError, ValueError):
        name = (user_folders().data / "theme").read_text(encoding="utf-8")
        return name if name in themes.THEMES else themes.DEFAULT
    return themes.DEFAULT


def _remember_asked(project: Project) -> None:
    from phichat.workflow.beginning import remember

    with contextlib.suppress(OSError):
        remember(project.folders)


def _remember_theme(theme: Theme) -> None:
    if theme.name == _remembered_theme():
        return
    with contextlib.suppress(OSError):
        write_atomic(user_folders().data / "theme", theme.name)
