"""`phichat rollback`: gives all requests back to the deployment that answered before."""

from __future__ import annotations

import argparse
import asyncio

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take nothing."""
    parser.epilog = "The newer deployment is kept, and costs on: 'phichat down --old' deletes it."


def run(args: argparse.Namespace) -> int:
    """Go back, and print the name of the deployment that answers now.

    Raises:
        PhichatError: there is nothing to go back to, or the backend has no such thing.
    """
    return asyncio.run(_rollback(args))


async def _rollback(args: argparse.Namespace) -> int:
    from phichat.cli.narration import narrated
    from phichat.cli.options import open_project
    from phichat.cli.terminal import out
    from phichat.workflow.rollout import rollback

    async with open_project(args) as project:
        with narrated() as narrator:
            state = await rollback(project, narrator)
        out(state.deployment.id)
    return 0
