"""`phichat backends`: where it can happen."""

from __future__ import annotations

import argparse

from phichat.cli.parser import Parser


def arguments(_: Parser) -> None:
    """Take nothing of its own."""


def run(_: argparse.Namespace) -> int:
    """List the installed backends, the broken ones with the reason."""
    from phichat.backends.registry import Registry
    from phichat.cli.terminal import out, table

    rows = [("BACKEND", "PACKAGE", "")]
    for each in Registry().describe():
        rows.append((each.name, each.package, each.error or each.title))
    out(table(rows))
    return 0
