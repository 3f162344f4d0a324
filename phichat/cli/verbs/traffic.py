"""`phichat traffic`: which deployment answers how many of an endpoint's requests."""

from __future__ import annotations

import argparse
import asyncio

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the shares."""
    parser.add_argument(
        "shares",
        metavar="NAME=PERCENT",
        nargs="*",
        type=_share,
        help="deployments and their shares, 100 together; default: only show them",
    )
    parser.add_argument(
        "--json", action="store_true", help="events, then the deployments, one JSON object a line"
    )
    parser.epilog = "For example: phichat traffic old=90 new=10"


def run(args: argparse.Namespace) -> int:
    """Share the requests as asked, and show who gets them.

    Raises:
        PhichatError: a name or a share is wrong, or the backend has no such thing.
    """
    return asyncio.run(_traffic(args))


async def _traffic(args: argparse.Namespace) -> int:
    from phichat.cli.deployed import as_json, show
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate
    from phichat.workflow.rollout import CHOOSE, shift

    async with open_project(args) as project:
        if args.shares:
            with reported(args.json) as report:
                await shift(project, dict(args.shares), report)
        states = await project.deployments()
        if not states:
            narrate("Nothing is deployed.")
            return 0
        (as_json if args.json else show)(states, project.serving.answering)
        if not project.backend.supports("set_traffic"):
            narrate(f"{project.backend.title} shares no requests among deployments. {CHOOSE}")
    return 0


def _share(text: str) -> tuple[str, int]:
    name, _, percent = text.rpartition("=")
    if not name or not percent.isdecimal() or int(percent) > 100:
        raise argparse.ArgumentTypeError("must be NAME=PERCENT, as new=10")
    return name, int(percent)
