"""The settings of a training as rows to fill in, made from the fields of `[train]`."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from phichat.config.problems import plain
from phichat.config.train import TrainConfig
from phichat.screens.oneline import OneLine
from phichat.workflow.money import dollars

FIRST = ("preset", "method", "epochs", "learning_rate", "batch_size", "max_length")
"""What people touch; the rest comes when they ask for more."""
OPEN = "default"
MAX_COST = FieldInfo(
    annotation=float | None,
    description="US dollars: what may cost more does not begin, and what costs more is ended",
)


class Pick(Static, can_focus=True):
    """One of a few values; the arrow keys go from one to the next."""

    HELP = "One of a few values: Left and Right, or Space, choose another one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "Previous", tooltip="The value before.", id="pick.previous", show=False),
        Binding(
            "right,space,enter",
            "turn(1)",
            "Next value",
            tooltip="The next value.",
            id="pick.next",
            show=False,
        ),
    ]

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, values: tuple[Any, ...], value: Any) -> None:
        super().__init__(classes="field")
        self._values = (None, *values)
        self.value = value
        self._open = OPEN

    def on_mount(self) -> None:
        self._show()

    def suggest(self, value: Any) -> None:
        """Show what holds while nothing is chosen."""
        self._open = _told(value) if value is not None else OPEN
        self._show()

    def action_turn(self, by: int) -> None:
        """Go to another value; behind the last one comes none, then the first."""
        self.value = self._values[(self._values.index(self.value) + by) % len(self._values)]
        self._show()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        self.action_turn(1)

    def _show(self) -> None:
        chosen = _told(self.value) if self.value is not None else (self._open, "$text-secondary")
        self.update(Content.assemble(("‹ ", "$text-primary"), chosen, (" ›", "$text-primary")))


class Setting(Horizontal):
    """A row: the name of a setting, and where it is chosen."""

    def __init__(self, name: str, field: FieldInfo, value: Any) -> None:
        super().__init__(classes="setting")
        self.key = name
        self.description = field.description or ""
        choices = _choices(field.annotation)
        self.widget: Pick | Input = (
            Pick(choices, value)
            if choices
            else OneLine(
                "" if value is None else _told(value), compact=True, classes="field", placeholder=OPEN
            )
        )

    def compose(self) -> ComposeResult:
        yield Static(_title(self.key), classes="name")
        yield self.widget

    @property
    def raw(self) -> Any:
        """What was chosen or typed; None: nothing."""
        if isinstance(self.widget, Pick):
            return self.widget.value
        text = self.widget.value.strip()
        if not text:
            return None
        listed = self.key == "lora_targets"
        return [each.strip() for each in text.split(",") if each.strip()] if listed else text

    def suggest(self, value: Any) -> None:
        """Show what holds while nothing is chosen."""
        if isinstance(self.widget, Pick):
            self.widget.suggest(value)
        else:
            self.widget.placeholder = OPEN if value is None else _told(value)


class TrainForm(VerticalScroll, can_focus=False):
    """The settings, the first few or all of them, and a line about the one that has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "up", "app.focus_previous", "Up", tooltip="The setting above.", id="form.previous", show=False
        ),
        Binding(
            "down",
            "app.focus_next",
            "Down",
            tooltip="The setting below.",
            id="form.next",
            show=False,
        ),
    ]

    class Changed(Message):
        """A setting is another than before."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(id="form")
        fields = TrainConfig.model_fields
        order = [*FIRST, *(name for name in fields if name not in FIRST)]
        self._rows = {name: Setting(name, fields[name], getattr(config, name)) for name in order}
        self._limit = Setting("max_cost", MAX_COST, None)
        self.more = False

    def compose(self) -> ComposeResult:
        yield from self._rows.values()
        yield self._limit

    def on_mount(self) -> None:
        self._limit.display = False
        self._limit.suggest("no limit")
        self.show_more(self.more)

    def show_more(self, more: bool) -> None:
        """Show all settings, or the first few: those, and whatever the configuration says."""
        self.more = more
        self.set_class(more, "-more")
        for name, row in self._rows.items():
            row.display = more or name in FIRST or row.raw is not None

    def focus_first(self) -> None:
        """Go to the first setting, unless one has the focus."""
        widgets = [row.widget for row in self._rows.values()]
        if self.screen.focused not in widgets:
            widgets[0].focus()

    def suggest(self, values: Mapping[str, Any]) -> None:
        """Show what holds where nothing is chosen."""
        for name, row in self._rows.items():
            row.suggest(values.get(name))

    def described(self, focused: Widget | None) -> str:
        """What the setting means that has the focus."""
        rows = (*self._rows.values(), self._limit)
        return next((row.description for row in rows if row.widget is focused), "")

    def show_limit(self, costs: bool) -> None:
        """Let a limit be set where a training costs something."""
        self._limit.display = costs

    @property
    def max_usd(self) -> float | None:
        """The most that it may cost; None: nobody has said.

        Raises:
            ValueError: what was typed is no amount.
        """
        return dollars(self._limit.raw) if self._limit.display and self._limit.raw else None

    def chosen(self) -> tuple[TrainConfig | None, str]:
        """The settings, or None and what is wrong with them."""
        raw = {name: row.raw for name, row in self._rows.items() if row.raw is not None}
        try:
            config = TrainConfig.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            self._mark(name)
            return None, f"{_title(name)} {plain(dict(first), raw.get(name))}."
        self._mark(None)
        try:
            _ = self.max_usd
        except ValueError as error:
            self._limit.add_class("-wrong")
            return None, f"Max cost: {error}."
        self._limit.remove_class("-wrong")
        return config, ""

    def _mark(self, wrong: str | None) -> None:
        for name, row in self._rows.items():
            row.set_class(name == wrong, "-wrong")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed())

    def on_pick_changed(self, event: Pick.Changed) -> None:
        event.stop()
        self.post_message(self.Changed())


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values that a field can have, where they are few."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (each for each in get_args(annotation) if each is not type(None))
    if annotation is bool:
        return (True, False)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("Lora", "LoRA").replace("Mlflow", "MLflow")


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
