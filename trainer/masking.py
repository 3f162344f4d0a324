"""Which tokens are learned: the assistant's words and the token that ends its turn, and nothing else.

The text is always the model's own chat template's, byte for byte. A training template beside this file marks
the assistant's turns in it; for a model without one they are found by rendering the conversation up to each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from conversations import Conversation
from failures import TrainError

TEMPLATES = Path(__file__).with_name("templates")
IGNORED = -100
"""The label of a token that is not learned (PyTorch's `ignore_index`)."""
BATCH = 128

Span = tuple[int, int]

_PROBES: tuple[tuple[dict[str, str], ...], ...] = tuple(
    tuple({"role": role, "content": content} for role, content in turns)
    for turns in (
        (("user", "A question?"), ("assistant", "An answer.")),
        (("system", "Be brief."), ("user", "One."), ("assistant", "Two."), ("user", "3"), ("assistant", "4")),
        (
            ("system", ""),
            ("user", " spaces \n"),
            ("assistant", " kept?\n\n"),
            ("user", "é🙂"),
            ("assistant", "ü"),
        ),
    )
)
"""Conversations on which two templates are compared before any row is read."""


@dataclass(frozen=True)
class Example:
    """One row as tokens; `labels` are the tokens themselves where they are learned, else `IGNORED`."""

    ids: list[int]
    labels: list[int]
    cut: bool
    """Whether the row was longer than it may be."""

    @property
    def learned(self) -> int:
        """How many tokens are learned."""
        return len(self.labels) - self.labels.count(IGNORED)


class Masker:
    """Turns conversations into tokens and labels, for one tokenizer with its chat template."""

    def __init__(self, tokenizer: Any, stop_tokens: Iterable[int]) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise TrainError("The base model has no chat template: take its instruct or chat version.")
        if not tokenizer.is_fast:
            raise TrainError(
                "The base model's tokenizer has no tokenizer.json, and no other kind is read here."
            )
        self._tokenizer = tokenizer
        self._template = training_template(tokenizer)
        self.how = self._template.stem if self._template else "by prefixes"
        """The training template's name, or that there is none."""
        self._source = self._template.read_text(encoding="utf-8") if self._template else ""
        self.stop_tokens = frozenset(stop_tokens) | {self._end_of_turn()}
        """Tokens that end an answer: those given, and the one that the template puts behind one."""

    @property
    def template_hash(self) -> str:
        """The SHA-256 of the model's own chat template, in hexadecimal: what is trained is what is served."""
        return hashlib.sha256(self._tokenizer.chat_template.encode()).hexdigest()

    def examples(self, conversations: Iterable[Conversation], max_length: int) -> Iterator[Example]:
        """Each conversation in tokens, cut off at `max_length`; tokenized in batches on all cores.

        Raises:
            TrainError: the template refuses a row, or what is learned in it cannot be proven right.
        """
        for rows in _batches(conversations):
            marked = [self._marked(row) for row in rows]
            encoded = self._tokenizer(
                [text for text, _ in marked],
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
            )
            for row, (_, spans), ids, offsets in zip(
                rows, marked, encoded["input_ids"], encoded["offset_mapping"], strict=True
            ):
                yield self._example(row, spans, ids, offsets, max_length)

    def _example(
        self, row: Conversation, spans: list[Span], ids: list[int], offsets: list[Span], max_length: int
    ) -> Example:
        labels = [IGNORED] * len(ids)
        at = 0
        for (start, end), learned in zip(spans, row.learned, strict=True):
            # By where a token begins: the one before the words may reach into them, as one that takes the
            # spaces behind it, and the one that ends the turn may take the line end after it.
            while at < len(ids) and offsets[at][0] < start:
                at += 1
            first = at
            while at < len(ids) and offsets[at][0] < end:
                at += 1
            if first == at or ids[at - 1] not in self.stop_tokens:
                raise TrainError(
                    f"Line {row.line}: the assistant's turn does not end with a token that ends an answer. "
                    'Name that token in "stop_tokens".'
                )
            if learned:
                labels[first:at] = ids[first:at]
        return Example(ids[:max_length], labels[:max_length], len(ids) > max_length)

    def _marked(self, row: Conversation) -> tuple[str, list[Span]]:
        """The row as text, and where the assistant's turns are in it, each with the token that ends it."""
        try:
            text = self._render(row.messages)
            if not self._template:
                return text, list(self._found(row.messages, text))
            trained, spans = _render_marked(self._tokenizer, self._source, row.messages)
        except TrainError as error:
            raise TrainError(f"Line {row.line}: {error}") from error
        except Exception as error:  # whatever a template raises
            raise TrainError(
                f"Line {row.line}: the chat template refuses the conversation: {error}"
            ) from error
        if trained != text or len(spans) != len(row.learned):
            raise TrainError(
                f"Line {row.line}: {self._template.name} renders the conversation otherwise than the model's "
                "own chat template. Report this row; the model would learn what it never sees."
            )
        return text, spans

    def _render(self, messages: Sequence[dict[str, str]], *, answer: bool = False) -> str:
        text: str = self._tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=answer
        )
        return text

    def _found(self, messages: Sequence[dict[str, str]], text: str) -> Iterator[Span]:
        """Where the assistant's turns are, for any template: right, or an error.

        What stands before a turn is what the model is shown when it answers, so the turn begins where that
        ends; it must hold the turn's words there, and behind them a token that ends an answer.
        """
        for at, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            shown = self._render(messages[:at], answer=True) if at else None
            if shown is None or not text.startswith(shown):
                raise TrainError(
                    "the chat template shows a turn otherwise once it is past, so what is learned cannot be "
                    "told from what is read. This model's template is not supported."
                )
            yield len(shown), self._end(text, len(shown), message["content"])

    def _end(self, text: str, start: int, content: str) -> int:
        rest = text[start:]
        for words in (content, content.strip()):
            behind = rest.removeprefix(words).lstrip() if rest.startswith(words) else ""
            token = next((token for token in self._stop_texts() if behind.startswith(token)), None)
            if token:
                return len(text) - len(behind) + len(token)
        raise TrainError("the chat template puts no token that ends an answer behind the assistant's words.")

    def _stop_texts(self) -> list[str]:
        return [self._tokenizer.convert_ids_to_tokens(token) for token in self.stop_tokens]

    def _end_of_turn(self) -> int:
        """The special token behind the assistant's words."""
        content = _PROBES[0][1]["content"]
        rest = self._render(_PROBES[0]).rpartition(content)[2].lstrip()
        ids: list[int] = self._tokenizer(rest, add_special_tokens=False)["input_ids"]
        if not ids or not self._tokenizer.added_tokens_decoder.get(ids[0]):
            raise TrainError(
                "The base model's chat template puts no special token behind the assistant's words, "
                "so it could never learn when to stop. Take another base model."
            )
        return ids[0]


def training_template(tokenizer: Any) -> Path | None:
    """The template beside this file that renders as the model's own does, with and without a next turn."""
    for path in sorted(TEMPLATES.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        if all(_same(tokenizer, source, messages) for messages in _PROBES):
            return path
    return None


def _batches(conversations: Iterable[Conversation]) -> Iterator[list[Conversation]]:
    rows = iter(conversations)
    while batch := list(islice(rows, BATCH)):
        yield batch


def _same(tokenizer: Any, source: str, messages: Sequence[dict[str, str]]) -> bool:
    for answer in (False, True):
        try:
            theirs, mine = (
                tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=answer, chat_template=template
                )
                for template in (None, source)
            )
        except Exception:  # whatever a template raises: then it is not this one
            return False
        if theirs != mine:
            return False
    return True


def _render_marked(tokenizer: Any, source: str, messages: Sequence[dict[str, str]]) -> tuple[str, list[Span]]:
    from transformers.utils.chat_template_utils import render_jinja_template

    marked: Any = render_jinja_template(
        conversations=[list(messages)],
        chat_template=source,
        return_assistant_tokens_mask=True,
        **tokenizer.special_tokens_map,
    )
    texts, spans = marked
    return texts[0], spans[0]
