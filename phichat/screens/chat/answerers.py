"""Who answers the chats: the deployment, or the flow server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from phichat.screens.session import Session, problem_of

if TYPE_CHECKING:
    from phichat.workflow import Project


class AnswererScreen(ModalScreen[None]):
    """What can answer the chats; the one that is chosen does from now on."""

    CSS_PATH = "answerers.tcss"
    HELP = """
## Who answers

Choose with the arrow keys and Enter what answers your next question. The flow server answers only while it
runs: start it on the screen Deploy, with F.
"""
    BINDING_GROUP_TITLE = "Who answers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", tooltip="Leave all as it is.", id="answerer.close"),
    ]

    class Found(Message):
        """Whether a flow server runs is known."""

        def __init__(self, told: str, *, runs: bool) -> None:
            super().__init__()
            self.told = told
            self.runs = runs

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def compose(self) -> ComposeResult:
        with Vertical(id="answerer"):
            deployment = _line(not self._session.through_flow, "Deployment", self._session.answering)
            flow = _line(self._session.through_flow, "Flow server", "looking for it")
            yield OptionList(Option(deployment, id="deployment"), Option(flow, id="flow", disabled=True))

    def on_mount(self) -> None:
        box = self.query_one("#answerer")
        box.border_title = "Who answers"
        box.border_subtitle = "esc closes"
        self.query_one(OptionList).highlighted = 0
        if self._session.project:
            self._look(self._session.project)

    @work(exclusive=True, exit_on_error=False)
    async def _look(self, project: Project) -> None:
        try:
            server = await asyncio.to_thread(lambda: project.flows.server())
        except Exception as error:
            self.post_message(self.Found(problem_of(error).message, runs=False))
            return
        told = f"{server.url}, over {server.deployment}" if server else "does not run: 4 Deploy, then F"
        self.post_message(self.Found(told, runs=server is not None))

    def on_answerer_screen_found(self, event: Found) -> None:
        options = self.query_one(OptionList)
        through = self._session.through_flow
        options.replace_option_prompt("flow", _line(through, "Flow server", event.told))
        if event.runs:
            options.enable_option("flow")
            options.highlighted = int(through)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id == "flow":
            self._session.use_flow()
        else:
            self._session.leave_flow()
        self.dismiss()


def _line(here: bool, title: str, told: str) -> Content:
    return Content.assemble("▸ " if here else "  ", (f"{title:<13}", "bold"), told)
