"""What a terminal may be sent: text without the characters that it would take for commands."""

from __future__ import annotations

import re
from typing import TextIO

_STYLE = re.compile(r"\x1b\[[0-9;:]*m")
_PICTURES: dict[int, int | str] = {
    **{code: 0x2400 + code for code in range(0x20)},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "�"),  # a terminal may take these for the same in one byte
}
del _PICTURES[ord("\n")], _PICTURES[ord("\t")]
_PICTURES[ord("\r")] = "\n"  # nothing is written over what came before


def harmless(text: str) -> str:
    """The text in its lines, colours left out; every other command is a picture of its character."""
    return _STYLE.sub("", text).replace("\r\n", "\n").translate(_PICTURES)


def suited(text: str, stream: TextIO) -> str:
    """The text as a stream may have it: whoever reads a pipe gets it as it is."""
    return harmless(text) if stream.isatty() else text


def visible(text: str) -> str:
    """The text on one line, without what a terminal would take for a command."""
    return "".join(character if character.isprintable() else " " for character in text)
