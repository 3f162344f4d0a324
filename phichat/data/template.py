"""A model's chat template: a conversation as the text that the model sees, and which parts are trained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phichat.data.conversation import Turn
from phichat.errors import DataError
from phichat.models.templates import Template, own_template, special_tokens, tokens_of


@dataclass(frozen=True)
class Span:
    """A piece of the rendered text."""

    text: str
    trained: bool
    """Whether the loss is taken on it."""


class ChatTemplate:
    """A template and the special tokens that it may name."""

    def __init__(self, source: str, tokens: Mapping[str, str], special: Iterable[str] = ()) -> None:
        self.source = source
        self._special = sorted(special, key=len, reverse=True)
        self._template = Template(source, tokens)

    @property
    def marks_trained(self) -> bool:
        """Whether the template itself says what is trained."""
        return "endgeneration" in self.source

    def render(self, turns: Sequence[Turn]) -> str:
        """The conversation as text, without the start of a next answer.

        Raises:
            DataError: the template refuses it.
        """
        return self._render(turns)[0]

    def spans(self, turns: Sequence[Turn]) -> list[Span]:
        """The rendered text in pieces: trained are the answers, each with the token that ends it.

        An answer of weight 0 is not trained.

        Raises:
            DataError: the template refuses the conversation, or changes what was said in it.
        """
        text, trained = self._render(turns)
        if not self.marks_trained:
            trained = list(self._found(turns, text))
        weights = [turn.weight for turn in turns if turn.role == "assistant"]
        # A template may mark more than the answers, as Phi's end of the text: it goes with the last of them.
        weights += weights[-1:] * (len(trained) - len(weights))
        kept = [span for span, weight in zip(trained, weights, strict=False) if weight != 0]
        return list(_cut(text, kept))

    def _found(self, turns: Sequence[Turn], text: str) -> Iterator[tuple[int, int]]:
        """Where the answers are, for a template without marks: each begins where the model would go on."""
        for number, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            start = len(self._render(turns[:number], answer=True)[0])
            end = start + len(turn.content)
            if text[start:end] != turn.content:
                raise DataError(
                    "The model's chat template changes what was said: nobody can tell what is trained."
                )
            rest = text[end:].lstrip()
            stop = next((token for token in self._special if rest.startswith(token)), "")
            yield start, len(text) - len(rest) + len(stop) if stop else end

    def _render(self, turns: Sequence[Turn], answer: bool = False) -> tuple[str, list[tuple[int, int]]]:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return self._template.render(messages, answer=answer)


def _cut(text: str, trained: Sequence[tuple[int, int]]) -> Iterator[Span]:
    at = 0
    for start, end in trained:
        if start > at:
            yield Span(text[at:start], False)
        yield Span(text[start:end], True)
        at = end
    if at < len(text):
        yield Span(text[at:], False)


def load_template(folder: Path, source: Path | None = None) -> ChatTemplate | None:
    """The template of a model folder, or the text of `source` with that folder's special tokens.

    None if there is none.
    """
    text = source.read_text(encoding="utf-8") if source else own_template(folder)
    if not text:
        return None
    return ChatTemplate(text, tokens_of(folder), special_tokens(folder))


def render(turns: Sequence[Turn], folder: Path, source: Path | None = None) -> list[Span]:
    """One conversation as the model of a folder will see it, in pieces; see `load_template` for `source`.

    Raises:
        DataError: the model has no template, or it refuses the conversation.
    """
    template = load_template(folder, source)
    if template is None:
        raise DataError(f"The model in {folder} has no chat template.", "Choose a model that can chat.")
    return template.spans(turns)


def own_digest(folder: Path) -> str:
    """The SHA-256 of the template that the model is served with; empty without one."""
    own = own_template(folder)
    return hashlib.sha256(own.encode()).hexdigest() if own else ""
