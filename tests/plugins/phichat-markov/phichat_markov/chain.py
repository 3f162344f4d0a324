"""A Markov chain: which word follows which. `chain.py TRAIN_FILE ORDER` trains one.

The program says how it goes in JSON lines on stdout, and leaves `model.json` in the current folder.
"""

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path


def learn(counts: Mapping[str, Counter[str]], messages: list[dict[str, str]], order: int) -> None:
    """Count each word of an answer behind the words before it, and the answer's end as an empty word."""
    before: list[str] = []
    for message in messages:
        words = message["content"].split()
        if message["role"] == "assistant":
            counts[""][words[0]] += 1
            text = [*before, *words, ""]
            for position in range(len(before), len(text)):
                for start in range(max(position - order, 0), position):
                    counts[" ".join(text[start:position])][text[position]] += 1
        before += words


def next_word(
    chain: Mapping[str, Mapping[str, int]], words: list[str], temperature: float, dice: random.Random
) -> str:
    """A word that followed these, or as many of the last of them as are known; empty at the end."""
    known = words[-4:]
    while " ".join(known) not in chain:
        known = known[1:]
    counts = chain[" ".join(known)]
    most = max(counts.values())
    if temperature == 0:
        return next(word for word, count in counts.items() if count == most)
    weights = [(count / most) ** (1 / temperature) for count in counts.values()]
    return dice.choices(list(counts), weights)[0]


def main(train_file: str, order: str) -> None:
    """Train, and say every thousand rows how far it is."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rows = Path(train_file).read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(rows, start=1):
        learn(counts, json.loads(row)["messages"], int(order))
        if number % 1000 == 0 or number == len(rows):
            event = {"kind": "progress", "what": "rows", "done": number, "total": len(rows)}
            print(json.dumps(event), flush=True)
    Path("model.json").write_text(json.dumps(counts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
