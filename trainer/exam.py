"""One examination for two models: what they are asked, what they make of it, and what that is in numbers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import weights
from answering import answers
from conversations import Conversation, read
from jobevents import Events
from masking import Masker
from scoring import exact_match, f1, score
from settings import EvalSettings, Question

GENERAL = Path(__file__).with_name("general.jsonl")


@dataclass(frozen=True)
class Exam:
    """What both models are asked."""

    rows: Sequence[Conversation]
    """Scored, every one of them."""
    answered: Sequence[Conversation]
    """Those of them that the models also answer."""
    probes: Sequence[Question]
    general: Sequence[Question]

    def conversations(self) -> list[list[dict[str, str]]]:
        """Everything that is answered, one after the other."""
        asked = [*self.probes, *self.general]
        return [
            *(list(prompt_of(row)) for row in self.answered),
            *([{"role": "user", "content": question.prompt}] for question in asked),
        ]


@dataclass(frozen=True)
class Paper:
    """What one model made of it."""

    loss: float
    perplexity: float
    token_accuracy: float
    answers: Sequence[str]
    probes: Sequence[str]
    general: Sequence[str]


def prepare(data: Path, settings: EvalSettings) -> Exam:
    """Read the conversations, and choose those that are answered."""
    rows = list(read(data))
    chosen = random.Random(settings.seed).sample(range(len(rows)), min(settings.answers, len(rows)))  # noqa: S311
    return Exam(
        rows=rows,
        answered=[rows[at] for at in sorted(chosen)],
        probes=settings.probes,
        general=general_questions() if settings.general else (),
    )


def general_questions() -> list[Question]:
    """What any model of this size should know, before and after."""
    lines = map(json.loads, GENERAL.read_text(encoding="utf-8").splitlines())
    return [Question(line["prompt"], tuple(line["expect"])) for line in lines]


def examine(name: str, folder: Path, exam: Exam, settings: EvalSettings, events: Events) -> Paper:
    """Let one model be scored, and let it answer."""
    import torch

    events.step(f"examine {name}", "running", str(folder))
    device = weights.place(settings.device)
    numbers = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    # On a CPU half precision is slower, and answers differ from those of the server.
    dtype = torch.float32 if device.type == "cpu" else numbers[weights.precision("auto", device)]
    tokenizer = weights.tokenizer_of(folder)
    model = weights.from_folder(folder, dtype=dtype).to(device).eval()
    masker = Masker(tokenizer, weights.stop_tokens(folder, tokenizer, settings))
    examples = [example for example in masker.examples(exam.rows, settings.max_length) if example.learned]
    known = score(model, examples, settings.batch_size)
    conversations = exam.conversations()
    said = answers(
        model,
        tokenizer,
        conversations,
        ends=masker.stop_tokens,
        max_new_tokens=settings.answer_tokens,
        batch_size=settings.batch_size,
        tell=lambda done: events.progress(f"examine {name}", done, len(conversations), "answers"),
    )
    events.step(f"examine {name}", "done", str(folder))
    rows, probes = len(exam.answered), len(exam.probes)
    return Paper(
        loss=known.loss,
        perplexity=known.perplexity,
        token_accuracy=known.accuracy,
        answers=said[:rows],
        probes=said[rows : rows + probes],
        general=said[rows + probes :],
    )


def prompt_of(row: Conversation) -> Sequence[dict[str, str]]:
    """The conversation up to the assistant's last turn."""
    return row.messages[: _last_answer(row)]


def reference_of(row: Conversation) -> str:
    """The assistant's last turn."""
    return row.messages[_last_answer(row)]["content"]


def metrics(paper: Paper, exam: Exam, settings: EvalSettings) -> dict[str, float]:
    """The paper in numbers; shares are between 0 and 1, and what was not asked has none."""
    numbers: dict[str, float] = {
        "loss": paper.loss,
        "perplexity": paper.perplexity,
        "token_accuracy": paper.token_accuracy,
    }
    pairs = [
        (answer, reference_of(row))
        for row, answer in zip(exam.answered, paper.answers, strict=True)
        if _short(row, settings)
    ]
    if pairs:
        numbers["exact_match"] = sum(exact_match(*pair) for pair in pairs) / len(pairs)
        numbers["f1"] = sum(f1(*pair) for pair in pairs) / len(pairs)
    for name, questions, said in (
        ("probes_right", exam.probes, paper.probes),
        ("general_right", exam.general, paper.general),
    ):
        judged = [pair for pair in zip(questions, said, strict=True) if pair[0].expect]
        if judged:
            numbers[name] = sum(question.right(answer) for question, answer in judged) / len(judged)
    return numbers


def compared(papers: dict[str, Paper], exam: Exam, settings: EvalSettings) -> list[dict[str, Any]]:
    """What each model answered on the held-out rows."""
    return [
        {
            "line": row.line,
            "prompt": prompt_of(row)[-1]["content"] if prompt_of(row) else "",
            "reference": reference_of(row),
            "short": _short(row, settings),
            **{name: paper.answers[at] for name, paper in papers.items()},
            "changed": len({paper.answers[at] for paper in papers.values()}) > 1,
        }
        for at, row in enumerate(exam.answered)
    ]


def asked(what: str, questions: Iterable[Question], papers: dict[str, Paper]) -> list[dict[str, Any]]:
    """What each model answered to questions, and whether that was right."""
    table = []
    for at, question in enumerate(questions):
        said = {name: getattr(paper, what)[at] for name, paper in papers.items()}
        right = (
            {f"{name}_right": question.right(text) for name, text in said.items()} if question.expect else {}
        )
        table.append({"prompt": question.prompt, "expect": list(question.expect), **said, **right})
    return table


def _last_answer(row: Conversation) -> int:
    return max(at for at, message in enumerate(row.messages) if message["role"] == "assistant")


def _short(row: Conversation, settings: EvalSettings) -> bool:
    return len(reference_of(row).split()) <= settings.short_words
