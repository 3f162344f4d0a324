"""Text files that go with a question: `@notes.txt` in it puts what the file says below it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from phichat.errors import DataError
from phichat.screens.wording import size

LIMIT = 64_000
"""Bytes of one file: some 16,000 tokens, which already is more than a small model can see."""
FILES, OFFERED = 5_000, 5
"""Files of a folder that are looked at, and names that are offered at once."""
SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "mlruns"})
_MENTION = re.compile(r"(?<!\S)@(\S+)")
_BEGUN = re.compile(r"(?<!\S)@(\S*)$")


def begun(before: str) -> str | None:
    """The name that is being typed at the end of a line, if it is one's."""
    found = _BEGUN.search(before)
    return found[1] if found else None


def files_in(folder: Path) -> list[str]:
    """The files of a folder and those below it, hidden ones left out, as they are mentioned."""
    found: list[str] = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in SKIPPED)
        place = Path(where).relative_to(folder)
        found += [(place / name).as_posix() for name in sorted(names) if name[0] != "." and " " not in name]
        if len(found) >= FILES:
            break
    return found[:FILES]


def matches(typed: str, names: Sequence[str]) -> list[str]:
    """The names that have the typed letters in this order, the best first."""
    from textual.fuzzy import Matcher

    if not typed:
        return list(names[:OFFERED])
    matcher = Matcher(typed)
    scored = [(score, name) for name in names if (score := matcher.match(name))]
    return [name for _, name in sorted(scored, key=lambda each: (-each[0], len(each[1])))[:OFFERED]]


def attached(text: str, folder: Path) -> str:
    """The text, and below it every file that it mentions; what is no file is left as it is.

    Raises:
        DataError: a file is too large, or cannot be read as text.
    """
    parts = [text]
    for name in dict.fromkeys(_MENTION.findall(text)):
        if path := _file(folder, name):
            parts.append(_block(name, _read(path, name)))
    return "\n\n".join(parts)


def _file(folder: Path, name: str) -> Path | None:
    """The file of that name, if there is one: it may be any word, which no file system would take."""
    try:
        path = folder / Path(name).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long; no such user; a character that none may have
        return None


def _read(path: Path, name: str) -> str:
    try:
        length = path.stat().st_size
        if length > LIMIT:
            raise DataError(f"{name} has {size(length)}; at most {size(LIMIT)} go with a question.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name} cannot be read as text: {error}.") from error


def _block(name: str, content: str) -> str:
    """A file as a fence that nothing in it ends."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{name}:\n{fence}\n{content.rstrip()}\n{fence}"
