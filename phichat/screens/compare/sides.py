"""What is compared: for each side a model, and a system prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Select, Static

from phichat.screens.oneline import OneLine
from phichat.screens.session import Session
from phichat.workflow.comparing import Pair, Side, pair_of, sides

if TYPE_CHECKING:
    from collections.abc import Sequence

AS_IT_IS = -1
"""Stands in the list of models for what the side has, which may be none of those that are known."""


class SidesScreen(ModalScreen[Pair | None]):
    """A form for both sides; gives the pair, or nothing."""

    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    BINDING_GROUP_TITLE = "Sides"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", tooltip="Compare the same as before.", id="sides.close"),
        Binding("f10,ctrl+s", "take", "Compare these", tooltip="Compare what is chosen.", id="sides.take"),
        Binding(
            "f5",
            "usual",
            "Base and tuned",
            tooltip="Of the newest run; without one, two system prompts.",
            id="sides.usual",
        ),
    ]

    class Listed(Message):
        """What can be chosen is known."""

        def __init__(self, known: Sequence[Side]) -> None:
            super().__init__()
            self.known = known

    def __init__(self, session: Session, pair: Pair) -> None:
        super().__init__()
        self._session = session
        self._pair = pair
        self._known: list[Side] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="sides"):
            for place, side in (("A", self._pair.left), ("B", self._pair.right)):
                yield Static(f"Model {place}", classes="label")
                yield Select[int](
                    [(Text(side.title), AS_IT_IS)],
                    value=AS_IT_IS,
                    allow_blank=False,
                    id=f"model-{place}",
                    compact=True,
                )
                yield Static(f"System prompt of {place}", classes="label")
                yield OneLine(side.system, id=f"system-{place}", compact=True)
            yield Footer()

    def on_mount(self) -> None:
        self._list()

    @work(exclusive=True, exit_on_error=False)
    async def _list(self) -> None:
        assert self._session.project is not None
        self.post_message(self.Listed(await sides(self._session.project)))

    def on_sides_screen_listed(self, event: Listed) -> None:
        self._known = list(event.known)
        for place, side in (("A", self._pair.left), ("B", self._pair.right)):
            select = self.query_one(f"#model-{place}", Select)
            # As `Text`: a name, and the system prompt that may be in it, can look like markup.
            options = [(Text(each.title), number) for number, each in enumerate(self._known)]
            at = next((n for n, each in enumerate(self._known) if each.model == side.model), AS_IT_IS)
            if at == AS_IT_IS:
                options.insert(0, (Text(side.title), at))
            select.set_options(options)
            select.value = at

    def action_take(self) -> None:
        """Give what is chosen."""
        left, right = self._side("A", self._pair.left), self._side("B", self._pair.right)
        # Only of a tuned model do the votes belong to its run.
        run = right.title.removeprefix("tuned: ") if right.title.startswith("tuned: ") else ""
        if left.title == right.title:
            left = left.model_copy(update={"title": _told(left)})
            right = right.model_copy(update={"title": _told(right)})
        self.dismiss(Pair(left=left, right=right, run=run))

    async def action_usual(self) -> None:
        """Give base and tuned of the newest run."""
        assert self._session.project is not None
        self.dismiss(await pair_of(self._session.project))

    def _side(self, place: str, before: Side) -> Side:
        chosen = self.query_one(f"#model-{place}", Select).value
        side = self._known[chosen] if isinstance(chosen, int) and chosen != AS_IT_IS else before
        return side.model_copy(update={"system": self.query_one(f"#system-{place}", Input).value.strip()})


def _told(side: Side) -> str:
    """A side's name with its system prompt, where the model alone is on both sides."""
    return f"{side.title}, “{side.system[:40]}”" if side.system else f"{side.title}, no system prompt"
