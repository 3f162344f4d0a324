"""An answer as it comes: on standard output for whoever reads it, with what it cost on a terminal."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from phichat.cli.characters import visible
from phichat.cli.narration import narrated
from phichat.cli.terminal import ask, can_ask, narrate, out, size
from phichat.errors import ConfigError, NotFoundError
from phichat.events import Piece, Reply, dump

if TYPE_CHECKING:
    from phichat.backends.base import Deployment
    from phichat.history import ConversationLog, Hit
    from phichat.workflow import Project

YOU, MODEL = "You: ", "Model: "
"""Who speaks, in a plain conversation: nothing else tells it where no colour and no place does."""
LARGE_BYTES = 1e9
"""A download that nobody starts unasked: it may take an hour, and the room may be missing."""
LATEST = ""
"""Stands for the conversation that was held last."""


async def ready(
    project: Project, name: str | None = None, *, plain: bool = False, yes: bool = False
) -> Deployment | None:
    """The deployment to talk to: the one of that name, else the current one.

    None if its model is not here and the person would rather not fetch it; with `yes` nobody is asked. With
    `plain` no line of what is told meanwhile is drawn over another.

    Raises:
        ConfigError: its model is not here, large, and nobody can be asked.
        PhichatError: there is none of that name, or it cannot be made.
    """
    project.backend  # noqa: B018 - a backend that is not there is told before anything is fetched
    if name:
        from phichat.workflow.rollout import named

        return await named(project, name)
    missing = await project.serving.model_size()
    if missing != 0 and not _to_fetch(project.base_model, missing, yes):
        return None
    with narrated(plain=plain) as narrator:
        return await project.ready(narrator)


def _to_fetch(model: str, missing: int | None, yes: bool) -> bool:
    """Whether to fetch a model of so many bytes, or nobody knows how many.

    Raises:
        ConfigError: it is large, and nobody can be asked.
    """
    amount = f" ({size(missing)})" if missing else ""
    what = f"{model} is not on this machine yet"
    if not yes and can_ask():
        return ask(f"{what}. Fetch it{amount}?", default=True)
    if not yes and (missing is None or missing > LARGE_BYTES):
        told = f"{what}, and nobody can be asked here whether to fetch it{amount}."
        raise ConfigError(told, f"phichat models pull {model}, or say so with --yes")
    narrate(f"{what}: fetching it{amount}.")
    return True


async def tell_tuned(project: Project, args: argparse.Namespace) -> None:
    """Say who answers where the base model was named on the command line and a tuned one is deployed."""
    from phichat.backends.base import Job

    current = await project.serving.current() if "base_model" in args and not args.deployment else None
    if current and isinstance(current[1], Job):
        base = project.base_model
        narrate(f"{current[0].id} answers, tuned from {base}. To ask {base} itself: phichat deploy {base}")


async def opened(project: Project, resume: str | None) -> ConversationLog:
    """A new conversation, or the one to go on with: the latest one, or that whose id begins so.

    Raises:
        NotFoundError: there is no such conversation.
    """
    if resume is None:
        return project.conversations.new()
    if resume != LATEST:
        return await project.conversations.resume((await project.history.find(resume)).id)
    page = await project.history.page(project=str(project.root or ""), limit=1)
    if not page.conversations:
        raise NotFoundError("There is no conversation to go on with.", "phichat chat")
    return await project.conversations.resume(page.conversations[0].id)


async def attached(project: Project, log: ConversationLog, words: Sequence[str]) -> list[Hit]:
    """Where in other conversations that was said which the model is to be shown; the person is told.

    Raises:
        NotFoundError: nowhere.
    """
    hits = [hit for each in words for hit in await project.conversations.recall(each, log)]
    for title in dict.fromkeys(hit.conversation.title or hit.conversation.id[:13] for hit in hits):
        narrate(f"Attached: what was said in “{visible(title)}”.")
    return hits


async def show(
    parts: AsyncGenerator[Piece | Reply, None], as_json: bool, *, plain: bool = False
) -> Reply | None:
    """Write an answer while it is generated, and return the whole of it; `plain`: by whole sentences."""
    reply = None
    sentences = Sentences()
    async with contextlib.aclosing(parts):
        try:
            async for part in parts:
                if isinstance(part, Reply):
                    reply = part
                if as_json:
                    out(dump(part))
                elif isinstance(part, Piece):
                    out(sentences.take(part.text) if plain else part.text, end="")
        finally:
            out(sentences.rest, end="")
    if not as_json:
        out("" if reply and reply.text.endswith("\n") else "\n", end="")
    if reply and sys.stderr.isatty():
        narrate(usage(reply))
    return reply


class Sentences:
    """Text in pieces, given on as soon as a sentence or a line is whole: what reads it aloud reads it so."""

    def __init__(self) -> None:
        self.rest = ""
        """What has come and is not whole yet."""

    def take(self, piece: str) -> str:
        """Take a piece more; returns what is whole now."""
        text = self.rest + piece
        ends = [end.end() for end in re.finditer(r"\n|[.!?:;][\"')\]*]*\s", text)]
        whole = ends[-1] if ends else 0
        self.rest = text[whole:]
        return text[:whole]


def usage(reply: Reply) -> str:
    """What an answer cost and why it ended, for people."""
    told = [f"first after {reply.ttft_s:.2f} s"]
    if reply.completion_tokens or not reply.text:
        # Not every endpoint of others counts.
        told = [f"{reply.completion_tokens} tokens", f"{reply.tokens_per_s:.1f} tokens/s", *told]
    if reply.finish_reason == "length":
        told.append("cut off: raise --max-new-tokens")
    if reply.dropped_messages:
        told.append(f"the oldest {reply.dropped_messages} messages no longer fit and were left out")
    return f"({', '.join(told)})"
