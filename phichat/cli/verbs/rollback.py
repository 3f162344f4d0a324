"""`phichat rollback`: gives all requests back to the deployment that answered before."""

from __future__ import annotations

import argparse
import asyncio

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="events, then the deployment, one JSON object a line"
    )
    parser.epilog = "The newer deployment is kept, and costs on: 'phichat down --old' deletes it."


def run(args: argparse.Namespace) -> int:
    """Go back, and print the name of the deployment that answers now.

    Raises:
        PhichatError: there is nothing to go back to, or the backend has no such thing.
    """
    return asyncio.run(_rollback(args))


async def _rollback(args: argparse.Namespace) -> int:
    from phichat.cli.deployed import as_json
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import out
    from phichat.workflow.rollout import rollback, state_of

    async with open_project(args) as project:
        with reported(args.json) as report:
            deployment = (await rollback(project, report)).deployment
        if args.json:
            as_json([await state_of(project, deployment)], project.serving.answering)
        else:
            out(deployment.id)
    return 0
