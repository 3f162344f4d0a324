"""`phichat provision`: makes the place ready, each part once; what is there stays as it is."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from phichat.cli.narration import Narrator
    from phichat.events import Event


def arguments(parser: Parser) -> None:
    """Take what to do with the plan."""
    parser.add_argument("--dry-run", action="store_true", help="only show what would be made")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="events, one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show what is missing, ask, and make it; 1 if the person would rather not.

    Raises:
        ConfigError: nobody can be asked.
        BackendError: a part could not be made; the next call goes on there.
    """
    return asyncio.run(_provision(args))


async def _provision(args: argparse.Namespace) -> int:
    from phichat.cli.forecast import show_steps, step_line
    from phichat.cli.narration import Narrator, reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import confirmed, narrate

    async with open_project(args) as project:
        plan = await project.provision_plan()
        missing = [step for step in plan if step.state == "planned"]
        if args.dry_run or not missing:
            show_steps(plan, args.json)
            if not missing:
                narrate("All is ready." if plan else f"Nothing has to be made on {project.backend.title}.")
            return 0
        for step in missing:
            narrate(step_line(step))
        if not confirmed(f"Make what is missing on {project.backend.title}?", args.yes):
            return 1
        with reported(args.json) as report:
            await project.provision(_told(report) if isinstance(report, Narrator) else report)
    return 0


def _told(narrator: Narrator) -> Callable[[Event], None]:
    """A report that keeps the end of each step as a line of data."""
    from phichat.cli.forecast import step_line
    from phichat.cli.terminal import out
    from phichat.events import Step

    def report(event: Event) -> None:
        if isinstance(event, Step) and (event.state != "running" or event.detail):
            narrator.close()
            out(step_line(event))
        else:
            narrator(event)

    return report
