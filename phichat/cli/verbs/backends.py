"""`phichat backends`: where it can happen."""

from __future__ import annotations

import argparse

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """List the installed backends, the broken ones with the reason."""
    from dataclasses import asdict

    from phichat.backends.registry import Registry
    from phichat.cli.terminal import out, out_json, table

    if args.json:
        for each in Registry().describe():
            out_json("backend", asdict(each))
        return 0
    rows = [("BACKEND", "PACKAGE", "")]
    for each in Registry().describe():
        rows.append((each.name, each.package, each.error or each.title))
    out(table(rows))
    return 0
