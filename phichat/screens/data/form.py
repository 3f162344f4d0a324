"""The form of the screen Data: what to prepare, how to read it, and what to do about what is found."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ValidationError
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from phichat.config.problems import plain
from phichat.data.formats import FORMATS
from phichat.data.options import DataOptions
from phichat.screens.oneline import OneLine
from phichat.workflow.preparing import Chosen, command

TREATMENTS = ("off", "report", "remove")
HINTS = {
    "source": "A file (Ctrl+O looks for one), a folder, owner/name of the hub, or demo.",
    "split": "Of a hub dataset: a split expression such as train_sft[:1%].",
    "subset": "Of a hub dataset: the configuration, if it has several.",
    "revision": "Of a hub dataset: commit, tag or branch; empty: the newest.",
    "format": "What shape the rows have; recognised by the fields of the first rows.",
    "columns": "Columns of flat rows: user=question,assistant=answer,system=…",
    "skip_bad": "Rows with errors: refuse the source, or leave them out into a file.",
    "duplicates": "Rows that equal an earlier one.",
    "near_duplicates": "Rows that nearly repeat an earlier one; kept on one side.",
    "leakage": "Held-out rows whose questions are trained on.",
    "personal": "Likely personal data and keys; mask puts [email] in their place.",
    "test_size": "Share of the rows that is held out to evaluate on: 0.2 is a fifth.",
    "seed": "Decides which rows are held out.",
    "max_length": "Tokens of a row that training keeps; empty: as it is set up on Train.",
}
CHOICES: dict[str, tuple[str, ...]] = {
    "format": ("recognised", *(known.name for known in FORMATS)),
    "skip_bad": ("refuse", "leave out"),
    "duplicates": TREATMENTS,
    "near_duplicates": TREATMENTS,
    "leakage": TREATMENTS,
    "personal": ("off", "report", "mask", "remove"),
}
TITLES = {"columns": "Map", "skip_bad": "Bad rows", "personal": "Personal data", "test_size": "Held out"}


class Pick(Static, can_focus=True):
    """One of a few words; the arrow keys go from one to the next."""

    HELP = "One of a few values: Left and Right, or Space, choose another one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "Previous", tooltip="The value before.", id="pick.previous", show=False),
        Binding(
            "right,space", "turn(1)", "Next value", tooltip="The next value.", id="pick.next", show=False
        ),
    ]

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, values: tuple[str, ...], value: str) -> None:
        super().__init__(classes="field")
        self._values = values
        self.value = value

    def on_mount(self) -> None:
        self._show()

    def action_turn(self, by: int) -> None:
        """Go to another value; the first one comes behind the last."""
        self.value = self._values[(self._values.index(self.value) + by) % len(self._values)]
        self._show()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        self.action_turn(1)

    def _show(self) -> None:
        self.update(Content(f"‹ {self.value} ›"))


class DataForm(Vertical):
    """A row for each option, what the one in focus means, and the same as a command."""

    HELP = """
## What to prepare

Up and Down go from row to row, Left and Right choose among a few values. Ctrl+S, or Enter in a
field that is typed in, prepares the data.
"""
    BINDING_GROUP_TITLE = "Form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Up", tooltip="The row above.", id="form.previous", show=False),
        Binding("down", "app.focus_next", "Down", tooltip="The row below.", id="form.next", show=False),
    ]

    def __init__(self, wanted: Chosen, usual: Chosen) -> None:
        super().__init__(id="form")
        self._usual = usual
        self._fields: dict[str, Pick | Input] = {
            name: Pick(CHOICES[name], _picked(name, wanted))
            if name in CHOICES
            else OneLine(_written(name, wanted), compact=True, classes="field")
            for name in HINTS
        }

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False, id="fields"):
            for name, widget in self._fields.items():
                yield Horizontal(Static(_title(name), classes="name"), widget, classes="setting")
        yield Static(id="meaning")
        yield Static(id="command")

    def on_mount(self) -> None:
        self._fields["source"].focus()
        self._show()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        await self.run_action("screen.prepare")

    def fill(self, name: str, value: str) -> None:
        """Write into a field that is typed in."""
        field = self._fields[name]
        assert isinstance(field, Input)
        field.value = value

    def chosen(self) -> tuple[Chosen | None, str]:
        """What is chosen, or None and what is wrong with it."""
        raw = {name: field.value.strip() for name, field in self._fields.items()}
        source = raw.pop("source")
        options: dict[str, Any] = {name: text for name, text in raw.items() if text}
        options["skip_bad"] = raw["skip_bad"] == "leave out"
        if raw["format"] == "recognised":
            del options["format"]
        if raw["columns"]:
            pairs = (pair.partition("=") for pair in raw["columns"].split(","))
            options["columns"] = {role.strip(): column.strip() for role, _, column in pairs}
        try:
            return Chosen(source=source, options=DataOptions.model_validate(options)), ""
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            what = "a role" if name == "columns" else "it"
            return None, f"{_title(name)}: {what} {plain(first, _number(first['input']))}."

    def on_descendant_focus(self) -> None:
        self._show()

    def on_input_changed(self) -> None:
        self._show()

    def on_pick_changed(self) -> None:
        self._show()

    def _show(self) -> None:
        """Say what the field in focus means, or what is wrong, and show the command."""
        wanted, problem = self.chosen()
        name = next((name for name, field in self._fields.items() if field.has_focus), "source")
        told = Content.assemble(("✗ ", "$text-error"), problem) if problem else Content(HINTS[name])
        self.query_one("#meaning", Static).update(told)
        if wanted:
            self.query_one("#command", Static).update(Content(f"$ {command(wanted, self._usual)}"))


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " ").capitalize())


def _number(text: Any) -> Any:
    """A text as the number that it is, so that it is shown as one; else itself."""
    try:
        return float(text) if "." in text else int(text)
    except (TypeError, ValueError):
        return text


def _picked(name: str, wanted: Chosen) -> str:
    value = getattr(wanted.options, name)
    if name == "skip_bad":
        return "leave out" if value else "refuse"
    return value if value in CHOICES[name] else CHOICES[name][0]


def _written(name: str, wanted: Chosen) -> str:
    if name == "source":
        return wanted.source
    value = getattr(wanted.options, name)
    if name == "columns":
        return ",".join(f"{role}={column}" for role, column in value.items())
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
