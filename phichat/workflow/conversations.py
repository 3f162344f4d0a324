"""The conversations of a project: begun or taken up again, asked, answered, and kept as they go."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from phichat.backends.base import ChatOptions, Deployment
from phichat.config import Config
from phichat.events import Piece, Reply
from phichat.history import Conversation, ConversationLog, HistoryStore, Hit, StoredMessage
from phichat.history.log import Answerer
from phichat.workflow import otherwise, recall
from phichat.workflow.chatting import Chat, chat_options
from phichat.workflow.serving import Serving

PLACES = 12
"""Places of other conversations to choose from: each is a conversation that is read whole."""


class Conversations:
    """What was said in a project, and what is being said."""

    def __init__(
        self,
        config: Config,
        root: Path | None,
        history: Callable[[], HistoryStore],
        serving: Serving,
        chat: Chat,
    ) -> None:
        self._config = config
        self._project = str(root or "")
        self._history = history
        self._serving = serving
        self._chat = chat

    def new(self) -> ConversationLog:
        """A new conversation; it is kept from its first question on."""
        conversation = Conversation(project=self._project, system=self._config.chat.system)
        return ConversationLog(self._history(), conversation)

    async def resume(self, conversation_id: str) -> ConversationLog:
        """A stored conversation, to go on with.

        Raises:
            NotFoundError: there is no such conversation.
            HistoryError: the store cannot be read.
        """
        return await ConversationLog.resume(self._history(), conversation_id)

    async def recall(self, words: str, log: ConversationLog) -> list[Hit]:
        """Where something was said in other conversations, the best first; to attach to a question.

        Raises:
            NotFoundError: nowhere.
        """
        return await recall.found(self._history(), words, besides=log.conversation.id)

    async def places(self, words: str, log: ConversationLog | None) -> list[Hit]:
        """As `recall`, to choose from; none where nothing matches."""
        besides = log.conversation.id if log else ""
        return await recall.places(self._history(), words, besides=besides, limit=PLACES)

    async def ask(
        self,
        log: ConversationLog,
        question: str,
        attach: Sequence[Hit] = (),
        deployment: Deployment | None = None,
    ) -> StoredMessage:
        """Add a question to a conversation; `answer` is what follows.

        What was said in other conversations can be attached. If the conversation no longer fits the model
        and `chat.overflow` is `summarise`, its beginning is summarised first. Both are kept in the
        conversation as notes before the question.
        """
        notes = await recall.excerpts(self._history(), attach)
        if self._config.chat.overflow == "summarise":
            whole = "\n\n".join([*(note.content for note in notes), question])
            options = chat_options(self._config)
            beginning = await recall.summarised(
                log, whole, options, lambda prompt, how: self._chat(prompt, how, deployment)
            )
            notes = [beginning, *notes] if beginning else notes
        return await log.ask(question, notes)

    async def answer(
        self,
        log: ConversationLog,
        options: ChatOptions | None = None,
        deployment: Deployment | None = None,
        *,
        continues: str | None = None,
    ) -> AsyncGenerator[Piece | Reply, None]:
        """The answer to what a conversation shows, kept as it comes; see `ConversationLog.record`.

        With `continues`, the id of a partial answer, it goes on from there as another version of it. A
        question that has an answer already gets another one: see `otherwise`.
        """
        deployment = deployment or await self._serving.ready()
        options = options or self.options()
        model = self._serving.model_of(deployment)
        prompt = log.prompt
        if continues is not None:
            options = options.model_copy(update={"continue_final": True})
        elif log.conversation.leaf:
            before = log.transcript.after(log.conversation.leaf)
            options = otherwise.another(options, before, deployment, model or "")
        # What a conversation has no system prompt of shall have none.
        parts = self._chat(prompt, options, deployment, system="")
        by: Answerer = {"backend": self._config.backend, "deployment": deployment.id, "options": options}
        if model is not None:
            by["model"] = model
        async with contextlib.aclosing(log.record(parts, continues=continues, **by)) as kept:
            async for part in kept:
                yield part

    def options(self) -> ChatOptions:
        """How a conversation is answered, as configured under `[chat]`."""
        # Should a summary turn out not to be enough, it is the oldest that goes.
        return chat_options(
            self._config, overflow="error" if self._config.chat.overflow == "error" else "drop_oldest"
        )
