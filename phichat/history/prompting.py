"""What a model is shown of a conversation: its turns, with summaries and excerpts in their places."""

from __future__ import annotations

from collections.abc import Sequence

from phichat.backends.base import Message
from phichat.history.values import StoredMessage


def is_note(message: StoredMessage) -> bool:
    """Whether a message stands for what was said elsewhere (see `notes`)."""
    return message.role == "system" and message.detail.startswith(("summary ", "excerpt "))


def turns(branch: Sequence[StoredMessage], *, summaries: bool = True) -> list[Message]:
    """A branch as a model reads it: notes at the head of the question that follows, empty answers left out.

    What a summary is of is not shown again, unless the summaries are not wanted.
    """
    shown: list[Message] = []
    notes: list[str] = []
    for message in _summarised(branch) if summaries else branch:
        if is_note(message):
            if summaries or not _is_summary(message):
                notes.append(message.content)
        elif message.content or message.role != "assistant":
            content = message.content
            if message.role == "user":
                content = "\n\n".join([*notes, content])
                notes.clear()
            shown.append(Message(role=message.role, content=content))
    return shown


def _summarised(branch: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The last summary, then what it is not of; the branch itself if it has none."""
    last = next((message for message in reversed(branch) if _is_summary(message)), None)
    if last is None:
        return list(branch)
    until = last.detail.split()[1]
    ids = [message.id for message in branch]
    kept = branch[ids.index(until) + 1 :] if until in ids else branch[ids.index(last.id) + 1 :]
    return [last, *(message for message in kept if not _is_summary(message))]


def _is_summary(message: StoredMessage) -> bool:
    return is_note(message) and message.detail.startswith("summary ")
