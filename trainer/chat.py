"""A model's chat template: conversations to tokens, the tokens that end an answer, tokens back to text."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from contract import ContextError, ConversationError, Message, ModelError
from text import TokenText

CONTENT = "qzx7"
"""Stands for the words of a turn where the template itself is looked at; no template holds it."""


class ChatTemplate:
    """Renders conversations as one model was trained to read them; safe to use from many threads."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise ModelError("This is not a chat model: its tokenizer has no chat template.")
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ModelError("This model's tokenizer has no tokenizer.json, and no other kind is read here.")
        # A trainer may have left its own limits in tokenizer.json. Changed here once: a tokenizer that is
        # changed while another thread reads it raises "Already borrowed".
        backend.no_truncation()
        backend.no_padding()
        self._tokenizer = tokenizer
        self._backend = backend
        added = backend.get_added_tokens_decoder()
        self._special = frozenset(token for token, content in added.items() if content.special)
        self._anchor = backend.encode("a", add_special_tokens=False).ids
        self.sha256 = hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()
        """Of the template, in hexadecimal, as the trainer keeps it with a model that it has trained."""

    def encode(self, messages: Sequence[Message], *, continue_final: bool = False) -> list[int]:
        """The tokens of the conversation, up to where the answer begins or goes on.

        Raises:
            ConversationError: the template refuses these messages.
        """
        how = {"add_generation_prompt": not continue_final, "continue_final_message": continue_final}
        return self._tokens(self._render(messages, **how))

    def stop_tokens(self, *configured: int | Iterable[int] | None) -> frozenset[int]:
        """What ends an answer: the tokens configured, the tokenizer's, and the template's end of turn."""
        found = {self._tokenizer.eos_token_id, self._end_of_turn()}
        for tokens in configured:
            found.update([tokens] if isinstance(tokens, int) else tokens or ())
        return frozenset(token for token in found if token is not None)

    def text(self, *, continues: bool = False) -> TokenText:
        """A decoder for the tokens of one answer."""
        return TokenText(self._decode, self._anchor, continues=continues)

    def is_special(self, token: int) -> bool:
        """Whether the token is a mark of the template rather than text."""
        return token in self._special

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._backend.decode(tokens, skip_special_tokens=True)
        return text

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return tokens

    def _render(self, messages: Sequence[Message], **how: bool) -> str:
        try:
            text: str = self._tokenizer.apply_chat_template(list(messages), tokenize=False, **how)
        except Exception as error:  # whatever the template raises, or is broken by
            raise ConversationError(f"The chat template refuses this conversation: {error}") from error
        return text

    def _end_of_turn(self) -> int | None:
        """The special token right behind the words of an assistant's turn, if the template has one."""
        turn: list[Message] = [{"role": role, "content": CONTENT} for role in ("user", "assistant")]
        try:
            rest = self._tokens(self._render(turn).rpartition(CONTENT)[2].lstrip())
        except ConversationError:
            return None
        return rest[0] if rest and rest[0] in self._special else None


def fit(
    template: ChatTemplate, messages: Sequence[Message], *, context: int, room: int, continue_final: bool
) -> tuple[list[int], int]:
    """The tokens of the conversation, without its oldest turns where need be, and how many were dropped.

    A system message at the beginning and everything from the last question on stay. `room` tokens are kept
    free for the answer where that can be done. What is dropped comes in steps of a quarter of the context:
    were it as little as possible, each new turn would drop another one and all the rest be read again.

    Raises:
        ContextError: what must stay is longer than the context.
    """
    tokens = template.encode(messages, continue_final=continue_final)
    surplus = len(tokens) - (context - room)
    if surplus <= 0:
        return tokens, 0
    head = 1 if messages[0]["role"] == "system" else 0
    starts = [at for at, message in enumerate(messages) if at > head and message["role"] == "user"]
    step = max(1, context // 4)
    enough = -(-surplus // step) * step

    def without(start: int) -> list[int]:
        return template.encode([*messages[:head], *messages[start:]], continue_final=continue_final)

    if starts:
        at = bisect.bisect_left(starts, enough, key=lambda start: len(tokens) - len(without(start)))
        start = starts[min(at, len(starts) - 1)]
        kept = without(start)
        if len(kept) < context:
            return kept, start - head
    if len(tokens) < context:
        return tokens, 0
    raise ContextError(len(without(starts[-1]) if starts else tokens), context)
