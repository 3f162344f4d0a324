"""`phichat fetch`: brings the model of a run to this machine."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the run, and where to."""
    parser.add_argument(
        "name",
        metavar="RUN",
        nargs="?",
        help="as 'phichat runs' shows it; default: the newest that succeeded",
    )
    parser.add_argument("folder", metavar="DIR", nargs="?", help="default: named as the run, in this folder")
    parser.add_argument("--json", action="store_true", help="events, then the folder, one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Fetch the model, and print its folder.

    Raises:
        NotFoundError: there is no such run, or it has made no model yet.
        BackendError: it cannot be brought here.
    """
    return asyncio.run(_fetch(args))


async def _fetch(args: argparse.Namespace) -> int:
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out, out_json

    async with open_project(args) as project:
        newest = None if args.name else await project.training.newest_success()
        name = (newest or project.training.run(args.name)).name
        place = _place(args, name)
        with reported(args.json) as report:
            path = await project.fetch(name, place, report)
    if args.json:
        out_json("fetched", {"run": name, "folder": path})
    else:
        out(str(path))
    narrate(f"To serve it: phichat deploy {path}")
    return 0


def _place(args: argparse.Namespace, name: str) -> Path:
    from phichat.cli.options import folder

    return folder(args) / Path(args.folder or name).expanduser()
