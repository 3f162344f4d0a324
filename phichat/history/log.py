"""A conversation while it is held: whatever is said goes into the store, and nothing ever out of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import TypedDict, Unpack

from phichat.backends.base import ChatOptions, Message
from phichat.errors import PhichatError
from phichat.events import Piece, Reply
from phichat.history.answer import Answer, read_ahead
from phichat.history.base import HistoryStore
from phichat.history.notes import Note
from phichat.history.prompting import is_note
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Role, StoredMessage

TITLE_LENGTH = 60


class Answerer(TypedDict, total=False):
    """Who answers, and how."""

    backend: str
    deployment: str
    model: str
    template_hash: str
    options: ChatOptions


class ConversationLog:
    """Keeps one conversation in a store while it is held, as a tree.

    An edit and a new answer to the same question are versions beside the old ones:

        log = ConversationLog(store, Conversation(project=str(project.root)))
        question = await log.ask("Who founded Microsoft?")
        async with contextlib.aclosing(log.record(project.chat(log.prompt), model="smollm2")) as parts:
            async for part in parts:
                show(part)                   # kept already; leaving the block early stops the answer
        log.retry()                          # the next answer becomes a version of this one
        await log.edit(question.id, "Who founded Apple?")
        await log.show(question.id)          # back to the first branch

    Nothing is written before the first message, so that a program opened and closed leaves no trace.
    """

    def __init__(self, store: HistoryStore, conversation: Conversation) -> None:
        self._store = store
        self._stored = False
        self.transcript = Transcript(conversation)
        """The conversation as it is known here; its leaf is the last message that is shown."""
        self.trouble: PhichatError | None = None
        """Why the latest answer is not kept, or not yet; None while all is well."""
        self._unkept: list[Answer] = []

    @classmethod
    async def resume(cls, store: HistoryStore, conversation_id: str) -> ConversationLog:
        """Go on with a stored conversation, on the branch that was shown last.

        Raises:
            NotFoundError: there is no such conversation.
            HistoryError: the store cannot be read.
        """
        transcript = await store.read(conversation_id)
        log = cls(store, transcript.conversation)
        log.transcript = transcript
        log._stored = True
        return log

    @property
    def conversation(self) -> Conversation:
        """Its title, project and system prompt."""
        return self.transcript.conversation

    @property
    def branch(self) -> list[StoredMessage]:
        """The messages that are shown, from the first to the last."""
        return self.transcript.branch()

    @property
    def prompt(self) -> list[Message]:
        """What to send to the model: the system prompt and the branch."""
        return self.transcript.prompt()

    async def ask(self, text: str, notes: Sequence[Note] = ()) -> StoredMessage:
        """Add a question below what is shown, after the notes that the model is to read with it.

        The first one also gives the conversation its title.

        Raises:
            HistoryError: it cannot be kept, or an earlier answer cannot. Asking again is safe.
        """
        if not self._stored:
            titled = self.conversation.model_copy(
                update={"title": self.conversation.title or heading(text), "leaf": None}
            )
            await self._store.create(titled)
            self.transcript = Transcript(titled)
            self._stored = True
        shown = self.conversation.leaf
        try:
            for note in notes:
                await self._add("system", note.content, self.conversation.leaf, note.detail)
            return await self._add("user", text, self.conversation.leaf)
        except PhichatError:
            self._revise(leaf=shown)  # so that the notes are not there twice when it is asked again
            raise

    async def edit(self, message_id: str, text: str) -> StoredMessage:
        """Add another version of a message, and show it in place of that one.

        Raises:
            NotFoundError: there is no such message.
            HistoryError: it cannot be kept.
        """
        old = self.transcript.message(message_id)
        return await self._add(old.role, text, old.parent_id)

    def retry(self, answer_id: str | None = None) -> None:
        """Step back to before an answer, else the last message: the next is another version of it."""
        answer_id = answer_id or self.conversation.leaf
        if answer_id:
            message = self.transcript.message(answer_id)
            before = message.parent_id
            # A question goes with the notes that were added for it.
            while message.role == "user" and before and is_note(self.transcript.message(before)):
                before = self.transcript.message(before).parent_id
            self._revise(leaf=before)

    def back_to(self, message_id: str) -> None:
        """Step back to a message: what comes next follows it, and what followed it so far is a branch beside.

        Raises:
            NotFoundError: there is no such message.
        """
        self._revise(leaf=self.transcript.message(message_id).id)

    async def show(self, message_id: str) -> None:
        """Show the branch that goes through a message and on by the newest ones.

        Raises:
            NotFoundError: there is no such message.
            HistoryError: the choice cannot be kept.
        """
        leaf = self.transcript.leaf_through(message_id)
        await self.keep()
        await self._store.select(self.conversation.id, leaf)
        self._revise(leaf=leaf)

    async def rename(self, title: str) -> None:
        """Give it another title."""
        if self._stored:
            await self._store.rename(self.conversation.id, title)
        self._revise(title=title)

    async def instruct(self, system: str) -> None:
        """Give it another system prompt, from the next answer on.

        Raises:
            HistoryError: it cannot be kept.
        """
        revised = self.conversation.model_copy(update={"system": system, "revised": time.time()})
        if self._stored:
            await self.keep()
            # A copy that was decided on later: any store takes it in as it would from another machine.
            await self._store.merge([Transcript(revised)])
        self.transcript = Transcript(revised, self.transcript.messages)

    async def keep(self) -> None:
        """Try again to keep the answers that could not be kept; every other method does so first.

        Raises:
            HistoryError: they still cannot.
        """
        while self._unkept:
            await self._unkept[0].keep()
            del self._unkept[0]
        self.trouble = None

    async def begin(
        self, *, after: str | None = None, continues: str | None = None, **by: Unpack[Answerer]
    ) -> Answer:
        """Begin an answer to what is shown, or to the message `after`.

        With `continues`, it is another version of that answer and begins with its text.
        """
        await self.keep()
        answer = self._answer(after, continues, by)
        await answer.begin()
        self.transcript = self.transcript.having(answer.message)
        return answer

    async def record(
        self,
        parts: AsyncGenerator[Piece | Reply, None],
        *,
        after: str | None = None,
        continues: str | None = None,
        **by: Unpack[Answerer],
    ) -> AsyncGenerator[Piece | Reply, None]:
        """An answer as it comes, every piece of it kept before it is passed on.

        Pieces that came meanwhile are joined. Closing this, or cancelling whoever reads it, stops the
        answer and keeps what was passed on. A store that fails does not take the answer from the
        person: it is passed on to its end, and only then the HistoryError is raised, unless the whole
        could be kept in the end; meanwhile `trouble` has it.
        """
        answer = self._answer(after, continues, by)
        self.transcript = self.transcript.having(answer.message)
        ended = False
        try:
            self.trouble = await _failure(self.keep()) or await _failure(answer.begin())
            async with contextlib.aclosing(read_ahead(parts)) as joined:
                async for part in joined:
                    if isinstance(part, Piece):
                        answer.add(part.text)
                        # Once it has failed not at every piece again: a locked file would stall the answer.
                        self.trouble = self.trouble or await _failure(answer.save())
                    else:
                        await self._end(answer, answer.finish(part))
                        ended = True
                    yield part
            if not ended:
                await self._end(answer, answer.fail("It ended early."))
        except (asyncio.CancelledError, GeneratorExit):
            if not ended:
                await self._end(answer, answer.stop())
            raise
        except Exception as error:
            if not ended:
                await self._end(answer, answer.fail(str(error)))
            raise
        if self.trouble:
            raise self.trouble

    def _answer(self, after: str | None, continues: str | None, by: Answerer) -> Answer:
        parent_id, text = after or self.conversation.leaf, ""
        if continues:
            old = self.transcript.message(continues)
            parent_id, text = old.parent_id, old.content
        message = StoredMessage(
            conversation_id=self.conversation.id,
            parent_id=parent_id,
            role="assistant",
            content=text,
            state="partial",
            **by,
        )
        return Answer(self._store, message)

    async def _end(self, answer: Answer, ending: Coroutine[None, None, None]) -> None:
        self.trouble = await _failure(ending)
        if self.trouble:
            self._unkept.append(answer)
        self.transcript = self.transcript.having(answer.message)

    async def _add(self, role: Role, text: str, parent_id: str | None, detail: str = "") -> StoredMessage:
        await self.keep()
        message = StoredMessage(
            conversation_id=self.conversation.id,
            parent_id=parent_id,
            role=role,
            content=text,
            detail=detail,
        )
        await self._store.append(message)
        self.transcript = self.transcript.having(message)
        return message

    def _revise(self, **changes: str | None) -> None:
        changed = self.conversation.model_copy(update=changes)
        self.transcript = Transcript(changed, self.transcript.messages)


def heading(text: str) -> str:
    """A title for a conversation that begins so: the first line that says something, cut between words."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    words = line[:TITLE_LENGTH].rpartition(" ")[0]
    return f"{words or line[: TITLE_LENGTH - 1]}…"


async def _failure(attempt: Coroutine[None, None, None]) -> PhichatError | None:
    try:
        await attempt
    except PhichatError as error:
        return error
    return None
