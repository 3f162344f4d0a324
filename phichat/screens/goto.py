"""Where one can go, by number, also while one types and where the terminal keeps Alt for itself."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from phichat.screens.session import Session
from phichat.screens.stages import STAGES
from phichat.screens.topbar import DONE


class GoToScreen(ModalScreen[str]):
    """The stages with their numbers; gives the name of the chosen one, or nothing."""

    CSS_PATH = "goto.tcss"
    HELP = """
## Go to

Press the number of a screen, or choose one with the arrow keys and Enter. A tick says that the work of
that stage is done.
"""
    BINDING_GROUP_TITLE = "Go to"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Close", tooltip="Stay here.", id="goto.close"),
        *(
            Binding(
                str(number),
                f"dismiss({stage.name!r})",
                stage.title,
                tooltip=f"Go to the screen {stage.title}.",
                id=f"goto.{stage.name}",
                show=False,
            )
            for number, stage in enumerate(STAGES, start=1)
        ),
    ]

    def __init__(self, session: Session, here: str) -> None:
        super().__init__()
        self._session = session
        self._here = here

    def compose(self) -> ComposeResult:
        done = self._session.standing.done if self._session.standing else {}
        options = []
        for number, stage in enumerate(STAGES, start=1):
            told = f"{DONE} {done[stage.name]}" if stage.name in done else f"  {stage.aim}"
            title = Content.assemble((f"{number} ", "bold"), f"{stage.title:<11}", told)
            options.append(Option(title, id=stage.name))
        with Vertical(id="goto"):
            yield OptionList(*options)

    def on_mount(self) -> None:
        box = self.query_one("#goto")
        box.border_title = "Go to"
        box.border_subtitle = "esc closes"
        names = [stage.name for stage in STAGES]
        self.query_one(OptionList).highlighted = names.index(self._here) if self._here in names else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)
