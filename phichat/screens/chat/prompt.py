"""Where a person types: Enter sends, Ctrl+J makes a new line, the arrow keys bring back what was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from phichat.screens.chat.attaching import begun

OWN_KEYS = ("up", "down", "pageup", "pagedown")
"""Keys of Textual's text field that mean something else here."""


def _editing_keys() -> list[Binding]:
    """Textual's own editing keys, without those."""
    return [each for each in Binding.make_bindings(TextArea.BINDINGS) if each.key not in OWN_KEYS]


class Prompt(TextArea, inherit_bindings=False):
    """A text field that grows with its text."""

    HELP = """
## Prompt

What you write to the model. It is kept while the model loads; a question that is sent meanwhile
waits its turn. Paste as many lines as you like. `@` and the name of a file attach a text file.
"""
    BINDING_GROUP_TITLE = "Prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", tooltip="Send the question to the model.", id="prompt.send"),
        Binding(
            "ctrl+j,shift+enter", "newline", "New line", tooltip="Begin a new line.", id="prompt.newline"
        ),
        Binding(
            "up",
            "older",
            "Earlier question",
            tooltip="Bring back what was sent before.",
            id="prompt.older",
            show=False,
        ),
        Binding(
            "down",
            "newer",
            "Later question",
            tooltip="Bring back what was sent after.",
            id="prompt.newer",
            show=False,
        ),
        Binding(
            "tab",
            "take_file",
            "Attach",
            tooltip="Attach the file that is offered.",
            id="prompt.attach",
        ),
        *_editing_keys(),
    ]

    @dataclass
    class Sent(Message):
        """The person sent this text. The prompt still holds it: whoever takes it clears it."""

        text: str

    @dataclass
    class Naming(Message):
        """The name of a file is being typed after an @; None: no longer."""

        part: str | None

    @dataclass
    class Offering(Message):
        """These files are offered, one of them chosen."""

        names: list[str]
        at: int

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, highlight_cursor_line=False)
        # A steady cursor: blinking would wake the processor twice a second for nothing.
        self.cursor_blink = False
        self._sent: list[str] = []
        self._position = 0
        self._draft = ""
        self._naming: str | None = None
        self._offered: list[str] = []
        self._chosen = 0

    def take(self) -> str:
        """Empty the field; what was in it can be brought back with the arrow keys."""
        text = self.text.strip("\n")
        if not self._sent or self._sent[-1] != text:
            self._sent.append(text)
        self._position = len(self._sent)
        self.text = ""
        return text

    def remember(self, questions: list[str]) -> None:
        """Let the arrow keys bring back what was asked before, elsewhere."""
        self._sent = [*questions, *(text for text in self._sent if text not in questions)]
        self._position = len(self._sent)

    def put(self, text: str) -> None:
        """Fill the field and go to its end."""
        self.text = text
        self.move_cursor(self.document.end)

    def action_send(self) -> None:
        """Offer the text, if there is any."""
        if self.text.strip():
            self.post_message(self.Sent(self.text.strip("\n")))

    def action_newline(self) -> None:
        """Put a new line in the place of the cursor or of what is selected."""
        self.replace("\n", *self.selection, maintain_selection_offset=False)
        self.scroll_cursor_visible()

    def offer(self, names: list[str]) -> None:
        """Offer files for the name that is being typed."""
        self._offered = names if self._naming is not None else []
        self._choose(0)

    def action_take_file(self) -> None:
        """Put the chosen file's name in the place of what was typed of it."""
        row, column = self.cursor_location
        start = (row, column - len(self._naming or ""))
        self.replace(f"{self._offered[self._chosen]} ", start, (row, column), maintain_selection_offset=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tab leads elsewhere unless a file is offered."""
        if action == "take_file":
            return bool(self._offered)
        return super().check_action(action, parameters)

    def on_text_area_selection_changed(self) -> None:
        row, column = self.cursor_location
        naming = begun(self.document.get_line(row)[:column])
        if naming != self._naming:
            self._naming = naming
            self.post_message(self.Naming(naming))
            if naming is None:
                self.offer([])

    def _choose(self, at: int) -> None:
        self._chosen = at
        self.post_message(self.Offering(self._offered, at))
        self.screen.refresh_bindings()

    def action_older(self) -> None:
        """Go up a line; from the first, bring back an earlier question."""
        if self._offered:
            self._choose((self._chosen - 1) % len(self._offered))
        elif self._row > 0:
            self.action_cursor_up()
        elif self._position > 0:
            self._recall(self._position - 1)

    def action_newer(self) -> None:
        """Go down a line; from the last, bring back a later question, and finally the draft."""
        if self._offered:
            self._choose((self._chosen + 1) % len(self._offered))
        elif self._row < self.wrapped_document.height - 1:
            self.action_cursor_down()
        elif self._position < len(self._sent):
            self._recall(self._position + 1)

    async def _on_key(self, event: events.Key) -> None:
        # TextArea would take Enter for text; here it is a binding like any other.
        if event.key == "enter":
            event.prevent_default()

    @property
    def _row(self) -> int:
        """The row of the cursor as it is seen, wrapped lines counted."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    def _recall(self, position: int) -> None:
        if self._position == len(self._sent):
            self._draft = self.text
        self._position = position
        self.put(self._sent[position] if position < len(self._sent) else self._draft)
