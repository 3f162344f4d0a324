"""How close answers come to the ones that were wanted, in plain Python: `metrics.py DATA RESULTS`."""

from __future__ import annotations

import argparse
import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path


def normalized(text: str) -> str:
    """Without case, punctuation, articles and needless spaces, as SQuAD compares (arXiv:1606.05250)."""
    text = text.casefold().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(answer: str, reference: str) -> float:
    """1 if both say the same, else 0."""
    return float(normalized(answer) == normalized(reference))


def f1(answer: str, reference: str) -> float:
    """How many words both share: the harmonic mean of precision and recall (arXiv:1606.05250)."""
    said, meant = normalized(answer).split(), normalized(reference).split()
    shared = sum((Counter(said) & Counter(meant)).values())
    if not shared:
        return float(said == meant)
    return 2 * shared / (len(said) + len(meant))


def similarity(answer: str, reference: str) -> float:
    """How much of their characters both share in the same order (Ratcliff and Obershelp), from 0 to 1."""
    return SequenceMatcher(None, normalized(answer), normalized(reference), autojunk=False).ratio()


def judge(answer: str, reference: str) -> dict[str, float]:
    """All of it about one answer."""
    return {
        "exact_match": exact_match(answer, reference),
        "f1": f1(answer, reference),
        "similarity": similarity(answer, reference),
    }


def summary(judged: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The means over all answers; nothing where there are none."""
    names = judged[0] if judged else ()
    return {name: sum(each[name] for each in judged) / len(judged) for name in names}


def main(argv: Sequence[str] | None = None) -> int:
    """Judge rows of `{"answer", "reference"}`; the means are the last line of the results."""
    parser = argparse.ArgumentParser(prog="metrics.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args(argv)
    with arguments.data.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    judged = [judge(row["answer"], row["reference"]) for row in rows]
    lines = [{"line_number": at, **each} for at, each in enumerate(judged)]
    text = "".join(f"{json.dumps(line)}\n" for line in [*lines, {"metrics": summary(judged)}])
    arguments.results.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
