"""Lines of messages in one pass: the usual row, decoded without a look at what is wrong with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from phichat.data.conversation import Conversation, Turn
from phichat.data.messages import TOOL_KEYS, Record

_NULL = msgspec.Raw(b"null")


class Shape:
    """The fields that the lines of a file have: messages, and others that nobody reads."""

    def __init__(self, others: Sequence[str]) -> None:
        self._others = {f"field{number}": key for number, key in enumerate(others)}
        fields: list[Any] = [("messages", list[Turn]), *((name, msgspec.Raw, _NULL) for name in self._others)]
        self.type: type[Any] = msgspec.defstruct(
            "Line", fields, rename=self._others, forbid_unknown_fields=True, gc=False
        )
        """What a line is decoded to."""
        self._decode = msgspec.json.Decoder(self.type).decode

    @classmethod
    def of(cls, rows: Sequence[Record]) -> Shape | None:
        """The shape of these rows; None if there is more to look at than messages."""
        others = sorted({key for row in rows for key in row} - {"messages"})
        return None if TOOL_KEYS & set(others) else cls(others)

    def decode(self, line: bytes) -> Any:
        """The line, if it has this shape; None where it has to be looked at field by field."""
        try:
            return self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def conversation(self, row: Any) -> Conversation:
        """What was said in a decoded line."""
        return Conversation(row.messages)

    def count(self, row: Any, ignored: Counter[str]) -> None:
        """Count the fields of a decoded line that nobody reads."""
        for name, key in self._others.items():
            if getattr(row, name) != _NULL:
                ignored[key] += 1
