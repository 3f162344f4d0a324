"""Rows that repeat each other: exactly, by their content, and nearly, by the words of their turns."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from phichat.data.conversation import Conversation
from phichat.data.split import Clusters

THRESHOLD = 0.8
"""Share of their three-word sequences that two rows must have in common to be near duplicates (Jaccard)."""
PERMUTATIONS = 128
"""Estimates the share to about ±0.035 at the threshold: sqrt(s·(1-s)/n)."""
BANDS = 16
"""Of 8 numbers each: two rows that share 80 % meet in a band with probability 0.95, 90 % with 0.9999."""
COMPARED = 100
"""Rows of one band's bucket that a row is compared with: bounds the work where everything is alike."""
BATCH = 512
SEED = 1


def repeated(rows: Iterable[int], hashes: Sequence[bytes]) -> list[int]:
    """The rows that equal an earlier one."""
    seen: set[bytes] = set()
    found = []
    for row in rows:
        if hashes[row] in seen:
            found.append(row)
        seen.add(hashes[row])
    return found


def shingles(conversation: Conversation) -> list[str]:
    """Every three words in a row of what was asked and answered.

    The system's turn is left out: it is often the same for all rows, which does not make them alike.
    """
    said = " ".join(turn.content for turn in conversation.messages if turn.role != "system")
    words = said.lower().split()
    if len(words) < 3:
        return [" ".join(words)]
    return [f"{one} {two} {three}" for one, two, three in zip(words, words[1:], words[2:], strict=False)]


def join_near(
    rows: Iterable[tuple[int, Conversation]], clusters: Clusters, tick: Callable[[int], None]
) -> None:
    """Join all rows that nearly repeat each other; `tick` gets the number of rows that were read."""
    from rensa import RMinHash  # type: ignore[import-untyped]

    numbers = array("Q")
    sketches: list[RMinHash] = []
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        numbers.extend(number for number, _ in batch)
        sets = [shingles(conversation) for _, conversation in batch]
        sketches += RMinHash.from_token_sets(sets, num_perm=PERMUTATIONS, seed=SEED)
        tick(len(numbers))
    size = PERMUTATIONS // BANDS
    digests = [array("I", sketch.digest()) for sketch in sketches]
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = {}
        for at, digest in enumerate(digests):
            bucket = buckets.setdefault(digest[band * size : (band + 1) * size].tobytes(), [])
            for other in bucket[:COMPARED]:
                if clusters.root(numbers[at]) == clusters.root(numbers[other]):
                    continue
                if sketches[at].jaccard(sketches[other]) >= THRESHOLD:
                    clusters.join(numbers[at], numbers[other])
            bucket.append(at)
