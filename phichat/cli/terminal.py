"""Standard output for data, standard error for narration, and questions where somebody can answer them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from phichat.cli.characters import suited
from phichat.cli.guard import OutputClosedError, drop, say
from phichat.errors import ConfigError


def out(text: str, end: str = "\n", *, styled: bool = False) -> None:
    """Write data to standard output, at once; a terminal gets no commands, except where we have `styled` it.

    Raises:
        OutputClosedError: nobody reads it any more.
    """
    try:
        sys.stdout.write((text if styled else suited(text, sys.stdout)) + end)
        sys.stdout.flush()
    except BrokenPipeError as error:
        drop(sys.stdout)
        raise OutputClosedError from error


def narrate(text: str) -> None:
    """Say something to the person on standard error."""
    say(f"{suited(text, sys.stderr)}\n")


def can_ask() -> bool:
    """Whether somebody is there to read a question and to answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str, yes: bool) -> bool:
    """Whether to go on with what deletes or spends: `--yes` was given, or the person says so now.

    Raises:
        ConfigError: nobody can be asked.
    """
    if yes:
        return True
    if not can_ask():
        raise ConfigError(f"{question} Nobody can be asked here.", "Say so with --yes.")
    return ask(question, default=False)


def ask(question: str, default: bool) -> bool:
    """The person's answer; `default` is what an empty line means, the end of input is a no."""
    sys.stderr.write(f"{suited(question, sys.stderr)} [{'Y/n' if default else 'y/N'}] ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        return False
    answer = line.strip().lower()
    return answer in ("y", "yes") if answer else default


def read_input() -> str:
    """All of standard input, without the line end at its end.

    Raises:
        ConfigError: it is not text.
    """
    try:
        text = sys.stdin.read()
        text.encode("utf-8")  # a locale without UTF-8 smuggles foreign bytes through as lone surrogates
    except UnicodeError as error:
        raise ConfigError("Standard input is not UTF-8 text.") from error
    return text.rstrip("\r\n")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns two spaces apart; the last column is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def size(count: float) -> str:
    """Bytes for people: `98 MB`, `7.6 GB`."""
    for unit, limit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= limit:
            amount = count / limit
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{count:.0f} bytes"


def out_json(kind: str, fields: Mapping[str, object]) -> None:
    """Write one JSON object as a line of data, told apart by `kind` as events are."""
    import json

    out(json.dumps(_speakable({"kind": kind, **fields}), ensure_ascii=False, default=str))


def _speakable(value: object) -> object:
    """Numbers that JSON has no word for as events write them: `"NaN"`, `"Infinity"`, `"-Infinity"`."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, Mapping):
        return {key: _speakable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_speakable(each) for each in value]
    return value
