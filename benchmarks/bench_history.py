"""What the history costs at a million messages: `python benchmarks/bench_history.py [--messages N]`.

Generates 10,000 conversations in a temporary folder (1.2 GB at a million messages, some minutes) and
prints the CPU time of each operation, the process's threads together, best and worst of several runs; an
idle control, a fixed amount of work, is timed before and after each.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics

from phichat.backends.base import ChatOptions, Usage
from phichat.history import Conversation, StoredMessage, Transcript
from phichat.history.sqlite import SqliteStore

CONVERSATIONS = 10_000
LONG = 2_000
"""Messages of the conversation that is read."""
PROJECTS = 20
RUNS = 5
ANSWER = {
    "role": "assistant",
    "backend": "local",
    "model": "smollm2",
    "options": ChatOptions(seed=7),
    "ttft_s": 0.25,
}
BATCH = 200


def vocabulary() -> list[str]:
    """The words of Python's own manual, as often as they are there, and 50,000 rare ones."""
    words = [word for topic in topics.values() for word in topic.split()]
    letters = random.Random(3)
    rare = ["".join(letters.choices("etaoinshrdlu", k=9)) for _ in range(50_000)]
    return words + rare


def usage(turn: int) -> Usage:
    """What an answer cost: different at every turn."""
    return Usage(prompt_tokens=turn, completion_tokens=9, finish_reason="stop")


def transcripts(messages: int) -> Iterator[Transcript]:
    """Conversations of equal length but for one long one; texts of 5 to 120 words."""
    chance = random.Random(7)
    words = vocabulary()
    each, more = divmod(messages - LONG, CONVERSATIONS - 1)
    for number in range(CONVERSATIONS):
        size = LONG if number == 0 else each + (number <= more)
        made = 1.7e9 + number
        conversation = Conversation(
            title=" ".join(chance.choices(words, k=5)), project=f"/home/me/{number % PROJECTS}", created=made
        )
        parent = None
        written = []
        for turn in range(size):
            at = chance.randrange(len(words) - 120)
            message = StoredMessage(
                conversation_id=conversation.id,
                parent_id=parent,
                role="user",
                content=" ".join(words[at : at + chance.choice((5, 15, 40, 80, 120))]),
                created=made + turn,
            )
            if turn % 2:
                message = message.model_copy(update={**ANSWER, "usage": usage(turn)})
            parent = message.id
            written.append(message)
        shown = conversation.model_copy(update={"leaf": parent, "updated": made + size})
        yield Transcript(shown, tuple(written))


async def generate(store: SqliteStore, messages: int) -> None:
    """Fill the store."""
    source = transcripts(messages)
    while batch := list(itertools.islice(source, BATCH)):
        await store.merge(batch)


def idle() -> float:
    """CPU milliseconds of a fixed amount of work: what changes here is the machine's doing, not ours."""
    start = time.process_time()
    sum(number * number for number in range(500_000))
    return (time.process_time() - start) * 1e3


async def measure(name: str, limit: float | None, operation: Callable[[], Awaitable[object]]) -> None:
    """Print what one operation costs."""
    before = idle()
    cpu, wall = [], []
    for _ in range(RUNS):
        start, began = time.process_time(), time.perf_counter()
        result = await operation()
        cpu.append((time.process_time() - start) * 1e3)
        wall.append((time.perf_counter() - began) * 1e3)
    count = f"{len(result):,}" if isinstance(result, list | tuple) else ""
    allowed = f"{limit:.0f} ms" if limit else ""
    print(
        f"{name:44} {count:>7} {min(cpu):8.1f} {max(cpu):8.1f} {min(wall):8.1f} {allowed:>8}"
        f"   {before:5.1f} → {idle():5.1f}",
        flush=True,
    )


async def lists(store: SqliteStore) -> None:
    """What the sidebar and `phichat history list` ask for."""

    async def every() -> list[Conversation]:
        return [conversation async for conversation in store.conversations(order="updated")]

    await measure("list: the first 50", 200, lambda: first(store, None))
    await measure("list: the first 50 of a project", 200, lambda: first(store, "/home/me/3"))
    await measure("list: all", 200, every)


async def first(store: SqliteStore, project: str | None) -> list[Conversation]:
    """The first page."""
    return (await store.page(project=project)).conversations


async def searches(store: SqliteStore) -> None:
    """What people type, from the easiest to the hardest."""
    for name, typed, project in (
        ("a rare word", "ebnf ", None),
        ("a beginning", "lookah", None),
        ("two letters", "th", None),
        ("the commonest word", "the ", None),
        ("six words", "the value of a class attribute ", None),
        ("a phrase", '"the value of"', None),
        ("a phrase of the commonest words", '"of the"', None),
        ("nothing", "quokka", None),
        ("the commonest word, one project", "the ", "/home/me/3"),
        ("a phrase, one project", '"of the"', "/home/me/3"),
        ("a sign (reads every text)", "≠", None),
    ):
        limit = None if "≠" in typed else 100
        await measure(f"search: {name}", limit, partial(store.search, typed, project=project))


async def conversation(store: SqliteStore, long: Conversation) -> None:
    """What opening a conversation and chatting in it costs."""

    async def read() -> tuple[StoredMessage, ...]:
        return (await store.read(long.id)).messages

    async def branch() -> list[StoredMessage]:
        return (await store.read(long.id)).branch()

    await measure("read: 2,000 messages", 100, read)
    await measure("read: 2,000 messages, their branch", 100, branch)
    leaf = long.leaf
    answer = StoredMessage(conversation_id=long.id, parent_id=leaf, role="assistant", state="partial")
    await store.append(answer)

    async def write() -> None:
        for _ in range(500):
            await store.extend(long.id, answer.id, "piece ")

    async def say() -> None:
        for _ in range(50):
            await store.append(
                StoredMessage(conversation_id=long.id, parent_id=leaf, role="user", content="Hi")
            )

    await measure("write: 500 pieces of an answer", None, write)
    await measure("write: 50 messages, each on the disk", None, say)


async def run(folder: Path, messages: int) -> None:
    """Generate, measure, print."""
    path = folder / "history.db"
    store = SqliteStore(path)
    start = time.process_time()
    await generate(store, messages)
    seconds = time.process_time() - start
    print(
        f"{CONVERSATIONS:,} conversations, {messages:,} messages, {path.stat().st_size / 1e6:,.0f} MB,"
        f" imported in {seconds:.0f} s of CPU ({seconds / messages * 1e6:.0f} µs a message);"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    heads = f"{'':>7} {'best':>8} {'worst':>8} {'wall':>8} {'limit':>8}"
    print(f"{f'CPU ms of {RUNS} runs':44} {heads}   idle control")
    long = (await store.page(order="id", limit=1)).conversations[0]
    await lists(store)
    await searches(store)
    await conversation(store, long)
    await store.aclose()


def main() -> None:
    """Measure in a folder that is deleted in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), args.messages))


if __name__ == "__main__":
    main()
