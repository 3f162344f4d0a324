"""Holding a conversation: ask, read the answer while it is written, stop it, ask again or otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.worker import Worker

from phichat.errors import NotFoundError, PhichatError
from phichat.screens.chat.conversation import Conversation, Turn
from phichat.screens.chat.prompt import Prompt
from phichat.screens.chat.transcript import Transcript
from phichat.screens.session import Session, problem_of
from phichat.screens.stage import StageScreen

if TYPE_CHECKING:
    from phichat.backends.base import ChatOptions
    from phichat.events import Reply
    from phichat.history import ConversationLog, Hit
    from phichat.screens.chat.messages import Said

PLACEHOLDER = "Ask something"
RATE_AFTER_S = 0.5
"""A rate of fewer tokens than come in this time says nothing."""


class TalkScreen(StageScreen):
    """One conversation with the project's model; what is around it is a subclass's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape,ctrl+c", "stop", "Stop", tooltip="Stop the answer; keep what is there.", id="chat.stop"
        ),
        Binding(
            "escape", "to_prompt", "Prompt", tooltip="Go back to the prompt.", id="chat.prompt", show=False
        ),
        Binding("escape", "leave", "Leave as it is", tooltip="Do not change it.", id="chat.leave"),
        Binding(
            "ctrl+r", "retry", "Try again", tooltip="Ask the same once more.", id="chat.retry", show=False
        ),
        Binding(
            "ctrl+r",
            "again",
            "Again",
            tooltip="Ask for another answer to the last question; this one stays as a version beside it.",
            id="chat.again",
        ),
        Binding(
            "ctrl+t",
            "go_on",
            "More",
            tooltip="Let the model go on with its unfinished answer.",
            id="chat.continue",
        ),
        Binding(
            "ctrl+t",
            "resume",
            "Go on",
            tooltip="Go on with the last conversation.",
            id="chat.resume",
            show=False,
        ),
    ]

    class Asked(Message):
        """The question is with the model."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn

    class Spoke(Asked):
        """A piece of the answer has come."""

        def __init__(self, turn: Turn, piece: str) -> None:
            super().__init__(turn)
            self.piece = piece

    class Answered(Asked):
        """The answer is whole."""

        def __init__(self, turn: Turn, reply: Reply) -> None:
            super().__init__(turn)
            self.reply = reply

    class Doubted(Asked):
        """The answer may be worse than its model."""

        def __init__(self, turn: Turn, doubt: str) -> None:
            super().__init__(turn)
            self.doubt = doubt

    class Failed(Asked):
        """The answer will not come, or not whole."""

        def __init__(self, turn: Turn, problem: PhichatError) -> None:
            super().__init__(turn)
            self.problem = problem

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.conversation = Conversation()
        self._transcript = Transcript(session, self.conversation)
        self._prompt = Prompt(placeholder=PLACEHOLDER)
        self._changing: Said.Edit | None = None
        """The message that is being changed in the prompt."""
        self._worker: Worker[None] | None = None
        self._first_piece = 0.0
        self._pieces = 0
        self._doubts: set[str] = set()
        """What the person was told of answers that may be worse than their model."""

    @property
    def untouched(self) -> bool:
        return not (self._prompt.text or self.conversation.turns)

    # A turn

    async def on_prompt_sent(self) -> None:
        if self.conversation.running:
            self.notify("What you wrote is kept: wait for the answer, or stop it.", timeout=4)
            return
        written = self._prompt.take()
        question = await self.completed(written)
        if question is None:
            self._prompt.put(written)
        elif self._changing:
            await self._change(self._changing, question)
        else:
            await self._ask(question, self.attachments())

    def attachments(self) -> Sequence[Hit]:
        """Places of other conversations that go with the question that is asked now, and with no other."""
        return ()

    async def completed(self, written: str) -> str | None:
        """What is asked when this is written; None: it cannot be, and the person knows."""
        return written

    async def _ask(self, question: str, attach: Sequence[Hit] = ()) -> None:
        turn = self.conversation.ask(question, attach)
        await self._transcript.add(turn)
        self._begin(turn)

    async def _ask_instead(self, turn: Turn) -> None:
        """Ask what has taken the place of another turn and of all that followed it."""
        self._prompt.focus()
        await self._transcript.follow()
        self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        self._worker = self._answer(turn)
        self.refresh_bindings()

    @work(group="answer", exclusive=True, exit_on_error=False)
    async def _answer(self, turn: Turn) -> None:
        """Let the project answer, and say how that goes."""
        deployment = None
        try:
            deployment = await self.session.deployment()
            self.post_message(self.Asked(turn))
            log = self.conversation.log or await self.session.conversation()
            options = await self.settle_options(log)
            await self.conversation.place(turn, log, self.session.ask)
            parts = self.session.answer(log, deployment, options, continues=turn.continues or None)
            async with contextlib.aclosing(parts):
                async for part in parts:
                    if part.kind == "piece":
                        self.post_message(self.Spoke(turn, part.text))
                    else:
                        self.post_message(self.Answered(turn, part))
                        if doubt := await self.session.doubt(deployment, part):
                            self.post_message(self.Doubted(turn, doubt))
        except Exception as error:
            self.post_message(self.Failed(turn, problem_of(error, self.session.backend)))
            if deployment and isinstance(error, NotFoundError):
                self.session.lost(deployment)  # the next question finds what is there instead

    async def settle_options(self, log: ConversationLog) -> ChatOptions | None:
        """How to answer in this conversation; None: as configured."""
        return None

    async def on_talk_screen_asked(self, event: Asked) -> None:
        if event.turn.state == "waiting":
            event.turn.state = "answering"
            self._pieces = 0
            await self._show(event.turn, "reading")

    async def on_talk_screen_spoke(self, event: Spoke) -> None:
        turn = event.turn
        if not turn.running:  # it was stopped while this piece was on its way
            return
        turn.answer += event.piece
        if view := self._transcript.view(turn):
            view.feed(event.piece)
        self._pieces += 1
        if self._pieces == 1:
            self._first_piece = monotonic()
            await self._show(turn, "answering")
        elif (elapsed := monotonic() - self._first_piece) > RATE_AFTER_S:
            self.bar.activity = f"answering, ~{(self._pieces - 1) / elapsed:.0f} tokens/s"

    async def on_talk_screen_answered(self, event: Answered) -> None:
        if event.turn.running:
            event.turn.reply = event.reply
            event.turn.state = "done"
            self.conversation.identify(event.turn)
            await self._show(event.turn)

    async def on_talk_screen_doubted(self, event: Doubted) -> None:
        event.turn.doubtful = True
        await self._show(event.turn)
        if event.doubt not in self._doubts:  # once is enough; below the answers a line goes on saying it
            self._doubts.add(event.doubt)
            self.notify(event.doubt, severity="warning", timeout=10, markup=False)

    async def on_talk_screen_failed(self, event: Failed) -> None:
        turn = event.turn
        if not turn.running:  # the answer is there, but could not be kept; or nothing was asked
            self._complain(event.problem, "Not kept" if turn.answer else "History")
            return
        turn.problem = event.problem
        turn.state = "failed"
        if turn.answer:
            self.conversation.identify(turn)
        elif turn.instead:
            await self._give_back(turn)
            return
        else:
            self.conversation.step_back(turn)
        await self._show(turn)

    async def _show(self, turn: Turn | None, activity: str = "") -> None:
        """Show the state of a turn wherever it is to be seen."""
        if turn and (view := self._transcript.view(turn)):
            await view.settle()
        self.bar.activity = activity
        self.bar.show()
        self.refresh_bindings()

    def _complain(self, problem: PhichatError, title: str) -> None:
        self.notify(problem.message, title=title, severity="error", timeout=10, markup=False)

    # What the keys do

    async def action_stop(self) -> None:
        """Stop the answer; a question that nothing was said to goes back to the prompt."""
        turn = self.conversation.running
        if turn is None:
            return
        if self._worker:
            self._worker.cancel()
        turn.state = "stopped"
        if turn.answer:
            self.conversation.identify(turn)
        elif turn.instead:
            await self._give_back(turn)
            return
        else:
            self.conversation.step_back(turn)
            await self._take_back(turn)
        await self._show(turn)

    async def action_retry(self) -> None:
        """Ask the question that failed once more."""
        await self.action_again()

    async def action_again(self) -> None:
        """Ask for another answer to the last question."""
        if turn := self.conversation.last:
            await self._again(turn)

    async def action_go_on(self) -> None:
        """Let the model go on with the last answer."""
        turn = self.conversation.last
        if turn and turn.unfinished:
            await self._ask_instead(self.conversation.go_on(turn))

    async def action_to_prompt(self) -> None:
        """Go back to the prompt."""
        self._prompt.focus()

    def action_leave(self) -> None:
        """Leave the message that was to be changed as it is."""
        self._end_change()
        self._prompt.text = ""

    async def on_said_again(self, event: Said.Again) -> None:
        if self.conversation.running is None:
            await self._again(event.turn)

    async def on_said_version(self, event: Said.Version) -> None:
        if self.conversation.running is None and await self._go_to(event.message_id):
            # The same message in its other version has the focus, so that one can go on.
            at = next((t for t in self.conversation.turns if event.message_id in (t.kept, t.answer_id)), None)
            if at and (view := self._transcript.view(at)):
                view.query_one(event.kind).focus()

    def on_said_edit(self, event: Said.Edit) -> None:
        if self.conversation.running:
            return
        from phichat.screens.chat.messages import Answer

        answer = issubclass(event.kind, Answer)
        self._changing = event
        self._prompt.border_title = "The answer as it should be" if answer else "Your question, asked anew"
        self._prompt.put(event.turn.answer if answer else event.turn.question)
        self._prompt.focus()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        last = self.conversation.last
        match action:
            case "stop":
                return self.conversation.running is not None
            case "resume":
                return False  # a subclass may know of one
            case "to_prompt":
                return not self._prompt.has_focus
            case "leave":
                return self._changing is not None and self.conversation.running is None
            case "retry":
                return last is not None and last.problem is not None
            case "again":
                return last is not None and not last.running and last.problem is None
            case "go_on":
                return last is not None and last.unfinished
        return True

    async def _again(self, turn: Turn) -> None:
        if turn.kept and turn.question:
            await self._ask_instead(self.conversation.again(turn))
        elif turn is self.conversation.last:  # it did not come as far as the history
            self.conversation.drop(turn)
            await self._transcript.drop(turn)
            await self._ask(turn.question, turn.attach)

    async def _change(self, event: Said.Edit, text: str) -> None:
        """Put what was written in the place of a message, as another version of it."""
        from phichat.screens.chat.messages import Answer

        self._end_change()
        log = self.conversation.log
        if not issubclass(event.kind, Answer):
            await self._ask_instead(self.conversation.reword(event.turn, text))
        elif log:
            with self._told("Not kept"):
                await log.edit(event.turn.answer_id, text)
            await self._follow_history()

    def _end_change(self) -> None:
        self._changing = None
        self._prompt.border_title = None
        self.refresh_bindings()

    async def _go_to(self, message_id: str) -> bool:
        """Show the branch that goes through a message."""
        log = self.conversation.log
        if not (log and message_id):
            return False
        with self._told("Not kept"):
            await log.show(message_id)
        await self._follow_history()
        return True

    async def _follow_history(self) -> None:
        """Show the conversation as the history has it."""
        self.conversation.read()
        await self._transcript.follow()
        self.refresh_bindings()

    async def _give_back(self, turn: Turn) -> None:
        """Show again what was there before a turn that nothing came of."""
        await self._go_to(turn.instead)
        if turn.edits:
            self._prompt.put(turn.question)
        last = self.conversation.last
        if last and turn.problem:
            last.problem = turn.problem
        await self._show(last)

    async def _take_back(self, turn: Turn) -> None:
        self.conversation.drop(turn)
        await self._transcript.drop(turn)
        if not self._prompt.text:
            self._prompt.put(turn.question)

    @contextlib.contextmanager
    def _told(self, title: str) -> Iterator[None]:
        """Tell an error of the history instead of raising it."""
        try:
            yield
        except PhichatError as error:
            self._complain(error, title)
