"""`phichat logs`: what a run or a deployment has written."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.workflow import Project


def arguments(parser: Parser) -> None:
    """Take the run or the deployment."""
    parser.add_argument(
        "name",
        metavar="RUN|DEPLOYMENT",
        nargs="?",
        help="as 'phichat runs' or 'phichat status' shows it; default: the run under way, else the newest",
    )


def run(args: argparse.Namespace) -> int:
    """Print every line that it has written so far.

    Raises:
        NotFoundError: there is no such run or deployment.
        UnsupportedError: the backend keeps no logs.
    """
    return asyncio.run(_logs(args))


async def _logs(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.cli.terminal import out

    async with open_project(args) as project:
        written = await _lines(project, args.name)
        async with contextlib.aclosing(written) as lines:
            async for line in lines:
                out(line)
    return 0


async def _lines(project: Project, name: str | None) -> AsyncGenerator[str, None]:
    """What is called so: a run, or else a deployment."""
    from phichat.errors import NotFoundError
    from phichat.workflow.rollout import named

    try:
        return project.training.logs((await project.training.meant(name)).name)
    except NotFoundError:
        known = [state.deployment.id for state in await project.deployments()] if name else []
        if name is None or not any(name in (each, each.rpartition("/")[2]) for each in known):
            raise
        return project.serving.logs(await named(project, name))
