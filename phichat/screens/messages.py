"""One turn of a conversation as it is seen: the question, the answer, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from phichat.screens.conversation import Turn
from phichat.screens.markdown import StreamedMarkdown
from phichat.screens.panels import ErrorPanel
from phichat.screens.wording import plural


class Said(Vertical, can_focus=True):
    """Something that was said; it can be focused by keyboard, and copied."""

    # A click is for selecting text: it must not take the keyboard from the prompt.
    FOCUS_ON_CLICK = False
    HELP = "A message. Up and Down go to its neighbours, Escape goes back to the prompt."
    BINDING_GROUP_TITLE = "Message"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c,y", "copy", "Copy", tooltip="Copy this message as it was written.", id="message.copy"),
        Binding("up,k", "app.focus_previous", "Up", tooltip="Go to the message above.", id="message.up"),
        Binding("down,j", "app.focus_next", "Down", tooltip="Go to the message below.", id="message.down"),
    ]

    class Copy(Message):
        """The person wants this text in the clipboard."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, turn: Turn, *, classes: str) -> None:
        super().__init__(classes=classes)
        self.turn = turn

    def action_copy(self) -> None:
        """Ask for the message to be copied."""
        self.post_message(self.Copy(self.text))

    @property
    def text(self) -> str:
        """The message as it was written."""
        raise NotImplementedError


class Question(Said):
    """What the person asked, exactly as it was typed."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn, classes="question")

    def compose(self) -> ComposeResult:
        yield Static(Content(self.text))

    @property
    def text(self) -> str:
        return self.turn.question


class Answer(Said):
    """What the model said, and below it what that cost or why it ended."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn, classes="answer")

    def compose(self) -> ComposeResult:
        yield StreamedMarkdown(self.turn.answer, complete=not self.turn.running)
        yield Static(note(self.turn), classes="note")

    def on_mount(self) -> None:
        self.display = self._worth_showing

    def feed(self, piece: str) -> None:
        """Show a further piece."""
        self.query_one(StreamedMarkdown).feed(piece)

    def refresh_note(self) -> None:
        """Show how far the turn is now."""
        if not self.turn.running:
            self.query_one(StreamedMarkdown).finish()
        line, told = self.query_one(".note", Static), note(self.turn)
        # What fits its line is drawn at once; arranging a long answer anew takes a tenth of a second.
        line.update(told, layout=told.cell_length > line.size.width)
        self.display = self._worth_showing

    @property
    def text(self) -> str:
        return self.turn.answer

    @property
    def _worth_showing(self) -> bool:
        return self.turn.running or bool(self.turn.answer)


class TurnView(Vertical):
    """A question with its answer, and a panel if that failed."""

    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn

    def compose(self) -> ComposeResult:
        yield Question(self.turn)
        yield Answer(self.turn)
        if self.turn.problem:
            yield ErrorPanel(self.turn.problem, "chat.retry")

    def feed(self, piece: str) -> None:
        """Show a further piece of the answer."""
        self.query_one(Answer).feed(piece)

    async def settle(self) -> None:
        """Show that the state of the turn has changed."""
        self.query_one(Answer).refresh_note()
        if self.turn.problem:
            await self.mount(ErrorPanel(self.turn.problem, "chat.retry"))


def note(turn: Turn) -> Content:
    """One line about a turn: what it waits for, why it ended, what it cost."""
    if turn.state == "waiting":
        return Content("Waiting for the model …")
    if turn.state == "answering":
        return Content("" if turn.answer else "Reading …")
    parts: list[str | tuple[str, str]] = []
    if turn.state == "stopped":
        parts.append(("■ stopped", "$text-warning"))
    elif turn.state == "failed" and turn.answer:
        parts.append(("✗ broken off", "$text-error"))
    if reply := turn.reply:
        if reply.finish_reason == "length":
            parts.append(("■ cut off by the length limit", "$text-warning"))
        if reply.dropped_messages:
            left_out = plural(reply.dropped_messages, "old message")
            parts.append((f"without {left_out}, for want of room", "$text-warning"))
        parts.append(plural(reply.completion_tokens, "token"))
        if reply.tokens_per_s:
            parts.append(f"{reply.tokens_per_s:.1f} tokens/s")
        parts.append(f"first token after {reply.ttft_s:.1f} s")
    return Content(" · ").join([Content.assemble(part) for part in parts])
