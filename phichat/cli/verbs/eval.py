"""`phichat eval`: did it help? The base model beside the tuned one on the held-out rows."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.runs import Run
    from phichat.workflow import Project
    from phichat.workflow.evaluation import Evaluation


def arguments(parser: Parser) -> None:
    """Take the run."""
    parser.add_argument(
        "name",
        metavar="RUN",
        nargs="?",
        help="as 'phichat runs' shows it; default: the newest that succeeded",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask when it costs money")
    parser.add_argument("--json", action="store_true", help="events, then the result, one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show the numbers of both models; they are measured now if nobody has done so yet.

    1 if that was cancelled, or the person would rather not pay.

    Raises:
        ConfigError: it costs money, and nobody can be asked.
        NotFoundError: there is no such run, or it has made no model.
        DataError: no rows were held out.
        BackendError: the evaluation failed.
    """
    return asyncio.run(_eval(args))


async def _eval(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out, out_json
    from phichat.cli.verdict import as_table
    from phichat.workflow.evaluation import verdict

    async with open_project(args) as project:
        newest = await project.training.newest_success()
        chosen = newest if newest and not args.name else project.training.run(args.name)
        found = project.training.evaluation(chosen)
        if found is None:
            project.training.evaluable(chosen)
        if found is None and _agreed(chosen, args.yes):
            found = await _measured(project, chosen, args.json)
    if found is None:
        return 1
    if args.json:
        out_json("evaluation", {"run": chosen.name, **found.model_dump()})
        return 0
    out(as_table(found))
    narrate(verdict(found).sentence)
    if found.report:
        narrate(f"Report: {found.report}")
    return 0


def _agreed(run: Run, yes: bool) -> bool:
    """Whether to measure: where a job costs something, that is asked."""
    from phichat.cli.terminal import confirmed
    from phichat.workflow.estimates import hourly

    told = f"Evaluating {run.name} takes a job of its own, at {hourly(run.usd_rate)} while it runs. Go on?"
    return not run.priced or confirmed(told, yes)


async def _measured(project: Project, run: Run, as_json: bool) -> Evaluation | None:
    """Evaluate as a job of its own; None if that was cancelled."""
    from phichat.cli.following import follow
    from phichat.cli.narration import reported
    from phichat.errors import BackendError

    with reported(as_json) as report:
        started = await project.training.start(project.training.eval_spec(run), report)
    status = await follow(project, started.name, as_json)
    if status.state == "failed":
        raise BackendError(f"{started.name} failed: {status.detail}", f"phichat logs {started.name}")
    await asyncio.to_thread(project.training.complete_report, run)
    return project.training.evaluation(run)
