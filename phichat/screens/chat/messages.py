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

from phichat.screens.chat.conversation import Turn, Versions
from phichat.screens.chat.markdown import StreamedMarkdown, code_blocks
from phichat.screens.clipboard import Copy
from phichat.screens.panels import ErrorPanel
from phichat.screens.wording import plural

LF = "\n"
LINE = 74
"""Characters of a note that the narrowest terminal has room for beside the answer's margins."""


class Said(Vertical, can_focus=True):
    """Something that was said; it can be focused by keyboard, copied, changed, and said otherwise."""

    # A click is for selecting text: it must not take the keyboard from the prompt.
    FOCUS_ON_CLICK = False
    HELP = """
## Message

Up and Down go to the neighbours, Escape goes back to the prompt. A message may have several versions,
such as `‹ 2/3 ›`: Left and Right go between them, and nothing that was said is ever lost.
"""
    BINDING_GROUP_TITLE = "Message"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c,y", "copy", "Copy", tooltip="Copy this message as it was written.", id="message.copy"),
        Binding(
            "b",
            "code",
            "Code",
            tooltip="Copy a code block of it; again, the next one.",
            id="message.code",
            show=False,
        ),
        Binding(
            "e",
            "edit",
            "Edit",
            tooltip="Change it; what was there stays as a version beside it.",
            id="message.edit",
        ),
        Binding(
            "r",
            "again",
            "Again",
            tooltip="Ask for another answer; this one stays as a version beside it.",
            id="message.again",
        ),
        Binding(
            "left,h",
            "version(-1)",
            "Earlier version",
            tooltip="Show the version before.",
            id="message.earlier",
            show=False,
        ),
        Binding(
            "right,l",
            "version(1)",
            "Later version",
            tooltip="Show the version after.",
            id="message.later",
            show=False,
        ),
        Binding(
            "up,k",
            "app.focus_previous",
            "Up",
            tooltip="Go to the message above.",
            id="message.up",
            show=False,
        ),
        Binding(
            "down,j",
            "app.focus_next",
            "Down",
            tooltip="Go to the message below.",
            id="message.down",
            show=False,
        ),
    ]

    class Wish(Message):
        """The person wants something of what was said."""

        def __init__(self, said: Said) -> None:
            super().__init__()
            self.turn = said.turn
            self.kind = type(said)

    class Edit(Wish):
        """To change it."""

    class Again(Wish):
        """Another answer."""

    class Learn(Wish):
        """To make it a row of data."""

    class Version(Wish):
        """To see another version of it."""

        def __init__(self, said: Said, message_id: str) -> None:
            super().__init__(said)
            self.message_id = message_id

    def __init__(self, turn: Turn, *, classes: str) -> None:
        super().__init__(classes=classes)
        self.turn = turn
        self._copied = 0

    def action_copy(self) -> None:
        """Ask for the message to be copied."""
        self.post_message(Copy(self.text, "The message"))

    def action_code(self) -> None:
        """Ask for one of its code blocks to be copied, at each press the next."""
        blocks = code_blocks(self.text)
        at = self._copied % len(blocks)
        self._copied += 1
        which = f"Code block {at + 1} of {len(blocks)}" if len(blocks) > 1 else "The code block"
        self.post_message(Copy(blocks[at], which))

    def action_edit(self) -> None:
        """Ask for the message to be changed."""
        self.post_message(self.Edit(self))

    def action_again(self) -> None:
        """Ask for another answer."""
        self.post_message(self.Again(self))

    def action_version(self, step: int) -> None:
        """Ask for a version beside this one."""
        self.post_message(self.Version(self, self.versions.beside(step)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done with this message now."""
        match action, parameters:
            case "version", (int(step),):
                return bool(self.versions.beside(step)) and not self.turn.running
            case "code", _:
                # Cheap enough for every refresh; which fences are whole is looked at when one is copied.
                return any(line.lstrip().startswith(("```", "~~~")) for line in self.text.splitlines()[:-1])
            case (("edit" | "again" | "learn"), _):
                return bool(self.turn.kept) and not self.turn.running
        return True

    @property
    def text(self) -> str:
        """The message as it was written."""
        raise NotImplementedError

    @property
    def versions(self) -> Versions:
        """The versions of it."""
        raise NotImplementedError


class Question(Said):
    """What the person asked, exactly as it was typed, below what the model was to read with it."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn, classes="question")

    def compose(self) -> ComposeResult:
        yield Static(self._told())

    def on_mount(self) -> None:
        self.display = bool(self.text)

    def refresh_told(self) -> None:
        """Show which of its versions this is, and what the model read with it."""
        self.query_one(Static).update(self._told())

    @property
    def text(self) -> str:
        return self.turn.question

    @property
    def versions(self) -> Versions:
        return self.turn.questions

    def _told(self) -> Content:
        told = [Content.assemble((f"{note}\n", "$text-muted")) for note in self.turn.notes]
        told.append(Content(self.text))
        if len(self.versions.ids) > 1:
            told.append(Content.assemble((place(self.versions), "$text-muted")))
        return Content("\n").join(told)


class Answer(Said):
    """What the model said, and below it what that cost or why it ended."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "d",
            "learn",
            "To data",
            tooltip="Make this answer, as it is or edited, a row that training can take.",
            id="message.learn",
        ),
    ]

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn, classes="answer")

    def compose(self) -> ComposeResult:
        yield StreamedMarkdown(self.turn.answer, complete=not self.turn.running)
        yield Static(note(self.turn), classes="note")

    def on_mount(self) -> None:
        self.display = self._worth_showing

    def action_learn(self) -> None:
        """Ask for it to become a row of data."""
        self.post_message(self.Learn(self))

    def feed(self, piece: str) -> None:
        """Show a further piece."""
        self.query_one(StreamedMarkdown).feed(piece)

    def refresh_note(self) -> None:
        """Show how far the turn is now."""
        if not self.turn.running:
            self.query_one(StreamedMarkdown).finish()
        line, told = self.query_one(".note", Static), note(self.turn)
        # What fits its line is drawn at once; arranging a long answer anew takes a tenth of a second.
        line.update(told, layout=LF in told.plain or told.cell_length > line.size.width)
        self.display = self._worth_showing

    @property
    def text(self) -> str:
        return self.turn.answer

    @property
    def versions(self) -> Versions:
        return self.turn.answers

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
        if len(self.turn.questions.ids) > 1 or self.turn.notes:
            self.query_one(Question).refresh_told()
        if self.turn.problem:
            await self.mount(ErrorPanel(self.turn.problem, "chat.retry"))


def place(versions: Versions) -> str:
    """Which of several versions is shown: `‹ 2/3 ›`."""
    return f"‹ {versions.at + 1}/{len(versions.ids)} ›"


def note(turn: Turn) -> Content:
    """One line about a turn: what it waits for, why it ended, what it cost."""
    if turn.state == "waiting":
        return Content("Waiting for the model …")
    if turn.state == "answering":
        return Content("" if turn.answer else "Reading …")
    parts: list[str | tuple[str, str]] = []
    if len(turn.answers.ids) > 1:
        parts.append(place(turn.answers))
    if turn.state == "partial":
        parts.append(("■ partial: phichat ended before the answer did", "$text-warning"))
    elif turn.state == "stopped":
        parts.append(("■ stopped", "$text-warning"))
    elif turn.state == "failed" and turn.answer:
        parts.append(("✗ broken off", "$text-error"))
    if reply := turn.reply:
        if reply.finish_reason == "length":
            parts.append(("■ cut off by the length limit", "$text-warning"))
        if reply.dropped_messages:
            left_out = plural(reply.dropped_messages, "old message")
            parts.append((f"without {left_out}, for want of room", "$text-warning"))
        if reply.completion_tokens or not reply.text:  # not every endpoint of others counts
            parts.append(plural(reply.completion_tokens, "token"))
        if reply.tokens_per_s:
            parts.append(f"{reply.tokens_per_s:.1f} tokens/s")
        parts.append(f"first after {reply.ttft_s:.1f} s")
        if reply.context:
            used = reply.prompt_tokens + reply.completion_tokens
            parts.append(f"context {used / reply.context:.0%}")
    told = Content(" · ").join([Content.assemble(part) for part in parts])
    if turn.source:
        fits = told.cell_length + len(f" · {turn.source}") <= LINE
        told += Content(f"{'' if not parts else ' · ' if fits else LF}{turn.source}")
    if turn.doubtful:
        doubt = "▲ asked in another chat template than the model was trained with"
        told += Content.assemble((f"\n{doubt}", "$text-warning"))
    return told
