"""What a question is asked with: excerpts of other conversations, and a summary of what no longer fits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

from phichat.backends.base import ChatOptions, Message
from phichat.errors import BackendError, NotFoundError
from phichat.events import Piece, Reply
from phichat.history import ConversationLog, HistoryStore, Hit, StoredMessage
from phichat.history.notes import Note, excerpt, summary
from phichat.history.prompting import is_note

EXCERPTS = 3
"""How many places of other conversations a search attaches at most."""
KEPT = 2
"""The latest messages that stay whole when all before them is summarised: a question and its answer."""
CHARACTERS_A_TOKEN = 3
"""Few rather than many: a summary too early costs a moment, one too late the oldest messages."""
SUMMARISE = (
    "Summarise our conversation so far for yourself, in at most 150 words. Keep every name, number, fact"
    " and decision that may matter later. Write nothing but the summary."
)

Chat = Callable[[Sequence[Message], ChatOptions], AsyncGenerator[Piece | Reply, None]]


async def found(store: HistoryStore, words: str, *, besides: str) -> list[Hit]:
    """The messages of other conversations that match best, at most `EXCERPTS`.

    Raises:
        NotFoundError: none does.
    """
    messages = await places(store, words.strip() + " ", besides=besides, limit=EXCERPTS)
    if not messages:
        raise NotFoundError(
            f"Nothing that was said in another conversation matches {words!r}.",
            f"phichat history search --all {words}",
        )
    return messages


async def places(store: HistoryStore, words: str, *, besides: str, limit: int) -> list[Hit]:
    """Messages of other conversations that match, the best first; what itself comes from elsewhere is not."""
    messages: list[Hit] = []
    for hit in await store.search(words, limit=limit * 8):
        if hit.message_id and hit.conversation.id != besides and len(messages) < limit:
            transcript = await store.read(hit.conversation.id)
            if not is_note(transcript.message(hit.message_id)):
                messages.append(hit)
    return messages


async def excerpts(store: HistoryStore, hits: Sequence[Hit]) -> list[Note]:
    """What was said at these places, each question and answer once."""
    notes: dict[str, Note] = {}
    for hit in hits:
        if hit.message_id is not None:
            note = excerpt(await store.read(hit.conversation.id), hit.message_id)
            notes.setdefault(note.content, note)
    return list(notes.values())


async def summarised(log: ConversationLog, question: str, options: ChatOptions, chat: Chat) -> Note | None:
    """A summary of all but the latest messages, by the model itself; None while there is room for all.

    A model that fails at it makes no summary: then its answer says how many messages were left out.
    """
    branch = [message for message in log.branch if not is_note(message)]
    if len(branch) <= KEPT or _fits(branch, question, options):
        return None
    until = branch[-KEPT - 1]
    prompt = [*log.transcript.prompt(until.id), Message(role="user", content=SUMMARISE)]
    calm = ChatOptions(max_new_tokens=256, temperature=0, overflow="drop_oldest")
    text = ""
    with contextlib.suppress(BackendError):
        async with contextlib.aclosing(chat(prompt, calm)) as parts:
            async for part in parts:
                text = part.text if isinstance(part, Reply) else text
    return summary(text, until) if text.strip() else None


def _fits(branch: Sequence[StoredMessage], question: str, options: ChatOptions) -> bool:
    """Whether the question and its answer have room after what the model has read and written last."""
    usage = next((message.usage for message in reversed(branch) if message.usage), None)
    if usage is None or usage.context is None:
        return True
    room = min(options.max_new_tokens, usage.context // 4)
    used = usage.prompt_tokens + usage.completion_tokens
    return used + len(question) // CHARACTERS_A_TOKEN + room <= usage.context and not usage.dropped_messages
