"""`phichat runs`: what was trained, and how it went."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.runs import Ledger, Run
    from phichat.workflow import Project
    from phichat.workflow.training import Training
    from phichat.workflow.votes import Tally


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show every run, the newest first, as the backend knows it now."""
    return asyncio.run(_runs(args))


async def _runs(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out, out_json, table

    async with open_project(args) as project:
        found = await project.training.refresh()
        if args.json:
            for each in found:
                out_json("run", _facts(project, each))
        elif found:
            out(table(_table(project.training, found)))
        else:
            narrate("Nothing was trained yet: phichat train")
    return 0


def _table(training: Training, found: Sequence[Run]) -> list[tuple[str, ...]]:
    """A line for each run; what people voted only where anybody did."""
    rows = [
        ("RUN", "STATE", "MODEL", "BACKEND", "STARTED", "TOOK", "EVAL LOSS"),
        *(_row(training.ledger, each) for each in found),
    ]
    votes = [_votes(training.votes(each)) for each in found]
    if not any(votes):
        return rows
    return [(*row, vote) for row, vote in zip(rows, ["WINS", *votes], strict=True)]


def _votes(tally: Tally) -> str:
    return f"{tally.win_rate:.0%} of {tally.votes}" if tally.votes else ""


def _row(ledger: Ledger, run: Run) -> tuple[str, ...]:
    from phichat.workflow.estimates import duration
    from phichat.workflow.training import took

    seconds, losses = took(run), eval_losses(ledger, run)
    return (
        run.name,
        run.state,
        _model(run),
        run.backend,
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.asked)),
        "" if seconds is None else duration(seconds),
        f"{losses[0]:.3f} → {min(losses):.3f}" if losses else "",
    )


def _facts(project: Project, run: Run) -> dict[str, object]:
    from phichat.workflow.money import cost
    from phichat.workflow.training import took

    found, votes = project.training.evaluation(run), project.training.votes(run)
    return {
        **run.model_dump(mode="json"),
        "took_s": took(run),
        "cost": cost(project.training.ledger, run).model_dump(),
        "eval_losses": eval_losses(project.training.ledger, run),
        "evaluation": found and found.model_dump(),
        "votes": {**votes._asdict(), "win_rate": votes.win_rate} if votes.votes else None,
    }


def eval_losses(ledger: Ledger, run: Run) -> list[float]:
    """The eval losses of a run, the first of them before any training."""
    from phichat.events import Metric

    events = ledger.events(run.name)
    return [
        event.values["eval_loss"]
        for event in events
        if isinstance(event, Metric) and "eval_loss" in event.values
    ]


def _model(run: Run) -> str:
    from phichat.backends.base import Job, TrainSpec
    from phichat.runs import FlowSpec

    if isinstance(run.spec, TrainSpec):
        return run.spec.base_model
    if isinstance(run.spec, FlowSpec):
        return run.spec.deployment
    return run.spec.model.id if isinstance(run.spec.model, Job) else run.spec.model
