"""A conversation as Markdown: pleasant to read, and still exact enough to be read back."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from phichat.history.tree import Transcript
from phichat.history.values import StoredMessage

ORIGIN = "origin"
"""The fact that says which conversation it was written from."""

_MARK = re.compile(r"^<!-- phichat:(conversation|message) (\{.*\}) -->\n", re.MULTILINE)
_LOOKS_LIKE_A_MARK = re.compile(r"^(\\*)(<!-- phichat:)", re.MULTILINE)
_ESCAPED_MARK = re.compile(r"^\\(\\*<!-- phichat:)", re.MULTILINE)


def render(transcript: Transcript) -> str:
    """The branch that the conversation shows, each message under a heading of its own."""
    conversation = transcript.conversation
    facts = {ORIGIN: conversation.id, "title": conversation.title, "created": conversation.created}
    when = datetime.fromtimestamp(conversation.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    place = f" in {_line(conversation.project)}" if conversation.project else ""
    title = _line(conversation.title) or "Conversation"
    blocks = [f"{_mark('conversation', facts)}# {title}\n\n_{when}{place}_\n\n"]
    if conversation.system:
        blocks.append(_block({"role": "system"}, "System", conversation.system))
    for message in transcript.branch():
        blocks.append(_block(_facts(message), _heading(transcript, message), message.content))
    return "".join(blocks)


def parse(text: str) -> Iterator[dict[str, Any]]:
    """The conversations of a text that `render` wrote, as `{"origin", "title", "created", "messages": […]}`.

    Raises:
        ValueError: a mark is not as `render` writes it.
    """
    marks = list(_MARK.finditer(text))
    ends = [mark.start() for mark in marks[1:]]
    record: dict[str, Any] | None = None
    for mark, end in itertools.zip_longest(marks, ends):
        facts = json.loads(mark[2])
        if mark[1] == "conversation":
            if record:
                yield record
            record = {**facts, "messages": []}
        elif record:
            record["messages"].append({**facts, "content": _content(text[mark.end() : end])})
    if record:
        yield record


def _block(facts: dict[str, Any], heading: str, content: str) -> str:
    escaped = _LOOKS_LIKE_A_MARK.sub(r"\\\1\2", content)
    return f"{_mark('message', facts)}## {heading}\n\n{escaped}\n\n"


def _content(body: str) -> str:
    """The text of a block without its heading and the line ends around it."""
    text = body.partition("\n\n")[2]
    # An editor may have taken the empty line away from the end of the file.
    text = text.removesuffix("\n\n") if text.endswith("\n\n") else text.removesuffix("\n")
    return _ESCAPED_MARK.sub(r"\1", text)


def _facts(message: StoredMessage) -> dict[str, Any]:
    facts = {"role": message.role, "state": message.state, "model": message.model}
    return {name: fact for name, fact in facts.items() if fact and fact != "complete"}


def _heading(transcript: Transcript, message: StoredMessage) -> str:
    versions = [version.id for version in transcript.versions(message.id)]
    told = [
        message.role.capitalize(),
        _line(message.model),
        f"version {versions.index(message.id) + 1} of {len(versions)}" if len(versions) > 1 else "",
        "" if message.state == "complete" else message.state,
    ]
    return " · ".join(filter(None, told))


def _line(text: str) -> str:
    return " ".join(text.split())


def _mark(kind: str, facts: dict[str, Any]) -> str:
    # No title can end the comment before its end.
    told = json.dumps(facts, ensure_ascii=False).replace(">", r"\u003e")
    return f"<!-- phichat:{kind} {told} -->\n"
