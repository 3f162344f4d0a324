"""JSON that goes over many lines as rows: the elements of an array, or one object after the other."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

from phichat.data.limits import CHUNK, ROW_LIMIT
from phichat.data.problems import Fault

_SPACE = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode


class Values:
    """The values of a JSON text, however large: little more than one is in memory."""

    def __init__(self, file: io.BufferedReader[Any]) -> None:
        # A byte that is not UTF-8 becomes a lone surrogate, which is found when the row is written.
        self.text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._buffer = ""
        self._at = 0

    def array(self) -> Iterator[tuple[int, Any]]:
        """Every element; a mistake ends the array, because nobody knows where the next one begins."""
        number, separator = 0, "["
        while True:
            found = self._next_character()
            if found == "]" and number:
                return
            if found != separator:
                told = f"the array goes wrong here: {separator!r} is missing."
                yield number + 1, Fault("json", "", told)
                return
            self._at += 1
            if separator == "[" and self._next_character() == "]":
                return
            number, separator = number + 1, ","
            value = self._element("array")
            yield number, value
            if isinstance(value, Fault):
                return

    def objects(self) -> Iterator[tuple[int, Any]]:
        """One object after the other; a mistake ends them."""
        number = 0
        while self._next_character():
            value, number = self._element("object"), number + 1
            yield number, value
            if isinstance(value, Fault):
                return

    def _more(self, size: int) -> bool:
        """Read on behind what is unread; false at the end of the file."""
        text = self.text.read(size)
        if text:
            self._buffer = self._buffer[self._at :] + text
            self._at = 0
        return bool(text)

    def _next_character(self) -> str:
        """The next character that is no white space, which stays unread; empty at the end."""
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # matches nothing too
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more(CHUNK):
                return ""

    def _element(self, what: str) -> Any:
        """The value that begins here; reads on, twice as much each time, until it is complete."""
        self._next_character()
        size = CHUNK
        while True:
            try:
                value, end = _scan(self._buffer, self._at)
                # A number that ends with the buffer may go on behind it.
                if end < len(self._buffer) or not self._more(size):
                    self._at = end
                    return value
            except (json.JSONDecodeError, RecursionError) as error:
                short = len(self._buffer) - self._at < ROW_LIMIT
                if short and self._more(size):
                    size *= 2
                    continue
                reason = error.msg.lower() if isinstance(error, json.JSONDecodeError) else "too many brackets"
                reason = reason if short else f"a row is longer than {ROW_LIMIT // 2**20} MB"
                return Fault(
                    "json", "", f"the {what} goes wrong here, and the rest cannot be read: {reason}."
                )
