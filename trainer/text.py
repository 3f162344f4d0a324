"""Tokens to text as they come: never a broken character, never a part of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]

BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What decoding puts where the bytes of a character are not complete."""


class TokenText:
    """Decodes one token at a time; the pieces together are what decoding all tokens at once gives.

    Text is held back while its last character is incomplete. Each piece is decoded behind the same plain
    token, `anchor`, so that only the very first loses the leading space that SentencePiece tokenizers drop.
    (The tokenizers library's own DecodeStream raises when byte tokens make up no character, which sampling
    can do.)
    """

    def __init__(self, decode: Decode, anchor: Sequence[int], *, continues: bool = False) -> None:
        self._decode = decode
        self._anchor = list(anchor)
        self._anchor_length = len(decode(anchor))
        self._started = continues
        self._pending: list[int] = []

    def push(self, token: int) -> str:
        """The text that is certain now that this token is known; often it is that token's own."""
        self._pending.append(token)
        text = self._text()
        if not text or text.endswith(BROKEN):
            return ""
        self._started = True
        self._pending.clear()
        return text

    def flush(self) -> str:
        """What was held back, without a last character that is still incomplete."""
        text = self._text().rstrip(BROKEN) if self._pending else ""
        self._pending.clear()
        return text

    def _text(self) -> str:
        if not self._started:
            return self._decode(self._pending)
        return self._decode(self._anchor + self._pending)[self._anchor_length :]


class StopText:
    """Lets text through up to the first stop string; holds back what may still become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False
        """Whether a stop string was found: nothing more comes."""

    def push(self, text: str) -> str:
        """The part of the text so far that can be shown."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back: no stop string came of it."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of the text are the beginning of the stop string."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
