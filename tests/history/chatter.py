"""A program that chats into a store until it is killed, and prints what it has shown.

`chatter PATH SEED [LIMIT]`: no file can grow beyond `LIMIT` bytes, as if the disk were full then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from phichat.errors import HistoryError
from phichat.events import Piece, Reply
from phichat.history import Conversation, ConversationLog
from phichat.history.sqlite import SqliteStore


def say(**told: object) -> None:
    """Acknowledge something on standard output, in one write."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def model(chance: random.Random) -> AsyncGenerator[Piece | Reply, None]:
    """An answer of a few dozen pieces."""
    pieces = [f"{chance.randrange(10**6)} " for _ in range(chance.randrange(1, 60))]
    for piece in pieces:
        yield Piece(text=piece)
        await asyncio.sleep(0)
    yield Reply(
        text="".join(pieces),
        prompt_tokens=1,
        completion_tokens=len(pieces),
        finish_reason="stop",
        ttft_s=0.1,
        tokens_per_s=10,
    )


async def chat(log: ConversationLog, chance: random.Random) -> None:
    """One question, and an answer that may be stopped."""
    question = await log.ask(f"Question {chance.random()}")
    say(conversation=log.conversation.id, message=question.id, text=question.content, state="complete")
    stop_after = chance.choice([1000, 1000, 1000, 5])
    shown = ""
    async with contextlib.aclosing(log.record(model(chance), model="m")) as parts:
        async for part in parts:
            place = {"conversation": log.conversation.id, "message": log.conversation.leaf}
            if isinstance(part, Reply) and not log.trouble:
                say(**place, text=part.text, state="complete")
            if not isinstance(part, Piece):
                continue
            shown += part.text
            if not log.trouble:
                say(**place, text=shown, state="partial")
            stop_after -= 1
            if not stop_after:
                break
    if chance.random() < 0.2:
        log.retry()


async def main(path: Path, seed: str) -> None:
    """Chat until killed, or until nothing can be kept any more."""
    chance = random.Random(seed)
    store = SqliteStore(path)
    try:
        while True:
            log = ConversationLog(store, Conversation(project=f"/p{chance.randrange(3)}"))
            for _ in range(5):
                await chat(log, chance)
    except HistoryError as error:
        say(error=error.message, hint=error.hint)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
