"""The command line: each verb of the workflow as a command, and the application without any."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from phichat.cli.guard import guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    from phichat.cli.parser import parse, verb

    args = parse(arguments)
    if args.verb is None:
        from phichat.cli import application

        return application.run(args)
    return verb(args.verb).run(args)
