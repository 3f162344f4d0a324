"""One conversation as it is trained on, and its one form as bytes."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant"]


class Turn(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One message; `weight` 0 keeps an answer in the conversation but out of the loss."""

    role: Role
    content: str
    weight: Literal[0, 1] | None = None


class Conversation(msgspec.Struct, gc=False):
    """One row of a training file."""

    messages: list[Turn]


encode = msgspec.json.Encoder().encode
"""The row as JSON without a line end: keys in a fixed order, nothing escaped that need not be."""

decode = msgspec.json.Decoder(Conversation).decode


def content_hash(line: bytes) -> bytes:
    """16 bytes that name a row by its content."""
    return hashlib.sha256(line).digest()[:16]
