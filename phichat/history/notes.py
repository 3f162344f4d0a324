"""What stands in a conversation for what lies elsewhere: summaries of its beginning, and excerpts of others.

A note is a system message at its place in the tree, so that whatever a model is shown can be seen. A
model reads it at the head of the next question: not every chat template takes a system message there.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from phichat.history.tree import Transcript
from phichat.history.values import StoredMessage

EXCERPT_LENGTH = 2_000
"""Characters of a message that an excerpt has at most."""


class Note(NamedTuple):
    """A note that is not part of a conversation yet."""

    content: str
    detail: str
    """What it is, in the field of that name: `summary MESSAGE` or `excerpt CONVERSATION MESSAGE`."""


def summary(text: str, until: StoredMessage) -> Note:
    """A note in place of all messages up to that one."""
    return Note(f"What was said before, in short:\n\n{text.strip()}", f"summary {until.id}")


def excerpt(transcript: Transcript, message_id: str) -> Note:
    """A question and its answer out of another conversation, of which one is the message.

    Raises:
        NotFoundError: it is not in that conversation.
    """
    found = transcript.message(message_id)
    pair = [found]
    if found.role == "assistant" and found.parent_id:
        pair.insert(0, transcript.message(found.parent_id))
    elif found.role == "user":
        branch = transcript.branch(transcript.leaf_through(found.id))
        following = branch[branch.index(found) + 1 :][:1]
        pair += [each for each in following if each.role == "assistant"]
    day = time.strftime("%Y-%m-%d", time.localtime(found.created))
    title = transcript.conversation.title
    said = "\n\n".join(f"{each.role.capitalize()}: {_cut(each.content)}" for each in pair if each.content)
    head = f"From an earlier conversation, “{title}”, {day}:" if title else f"From a conversation, {day}:"
    return Note(f"{head}\n\n{said}", f"excerpt {transcript.conversation.id} {found.id}")


def _cut(text: str) -> str:
    return text if len(text) <= EXCERPT_LENGTH else f"{text[:EXCERPT_LENGTH]}…"
