"""The data that the suite trains on: a small one, one that never ends, and a broken one."""

from __future__ import annotations

import json
from pathlib import Path

from phichat.backends.base import Dataset

TOPICS = ("sea", "moon", "forest", "city", "desert", "river", "mountain", "garden")
QUESTIONS = {
    "Tell me about the {0}.": "The {0} is older than anyone who walks there and it changes every day.",
    "Why do people love the {0}?": "People love the {0} because it is quiet and it never asks for anything.",
    "What is the {0} like at night?": "At night the {0} is dark and still and every sound is a long way off.",
    "Who lives in the {0}?": "Many small things live in the {0} and most of them would rather not be seen.",
}


def write_dataset(folder: Path) -> Dataset:
    """Write 32 conversations to train on, the first four of them also to evaluate with."""
    rows = [_row(q.format(topic), a.format(topic)) for topic in TOPICS for q, a in QUESTIONS.items()]
    return Dataset(
        train_file=_write(folder / "train.jsonl", rows),
        eval_file=_write(folder / "eval.jsonl", rows[: len(QUESTIONS)]),
        fingerprint="conformance",
        train_rows=len(rows),
        eval_rows=len(QUESTIONS),
    )


def lengthen(dataset: Dataset, folder: Path, rows: int = 100_000) -> Dataset:
    """The same conversations over and over: a job on them is still running when it is cancelled."""
    some = dataset.train_file.read_text(encoding="utf-8").splitlines()
    file = _write(folder / "long.jsonl", (some * (rows // len(some) + 1))[:rows])
    return Dataset(train_file=file, fingerprint="conformance-long", train_rows=rows)


def spoil(folder: Path) -> Dataset:
    """A training file that holds no conversation."""
    file = _write(folder / "spoilt.jsonl", ['{"messages": "none"}', "This is not JSON."])
    return Dataset(train_file=file, fingerprint="conformance-spoilt", train_rows=2)


def _row(question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns})


def _write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
