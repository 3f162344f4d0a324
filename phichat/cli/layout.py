"""How help is laid out: it fits a terminal of 80 columns, and no word or command in it is broken in two."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

COLUMN = 26
"""Where explanations begin at the latest: behind the longest flag of every command."""


class Layout(argparse.HelpFormatter):
    """Help whose usage is one line: the flags are listed below it anyway."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=COLUMN)

    def add_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None = None
    ) -> None:
        """As argparse does, with `[options]` for all that may be left out."""
        if prefix != "":  # with none, argparse asks what the names of commands below begin with
            needed = [_optional(each) for each in actions if each.required or not each.option_strings]
            actions, groups = [_placeholder("options"), *needed], []
        super().add_usage(usage, actions, groups, prefix)

    def _metavar_formatter(
        self, action: argparse.Action, default_metavar: str
    ) -> Callable[[int], tuple[str, ...]]:
        """Choices are written as every other command writes them: `one|other`."""
        if action.metavar is None and action.choices is not None:
            default_metavar = "|".join(map(str, action.choices))
        name = action.metavar or default_metavar
        return lambda count: name if isinstance(name, tuple) else (name,) * count

    def _split_lines(self, text: str, width: int) -> list[str]:
        """No word is broken at a hyphen: it may be a flag or a value."""
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Lines stay apart: a command to copy stands on its own."""
        return "\n".join(
            textwrap.fill(
                line, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
            )
            for line in text.splitlines()
        )


def _optional(action: argparse.Action) -> argparse.Action:
    """The action as usage shows it: a command below that may be left out is in brackets."""
    if action.nargs == argparse.PARSER and not action.required:
        return _placeholder(f"{action.metavar} ...")
    return action


def _placeholder(name: str) -> argparse.Action:
    return argparse.Action([], name, nargs=argparse.OPTIONAL, metavar=name)
