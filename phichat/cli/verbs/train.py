"""`phichat train`: fine-tunes the base model on the project's data, and follows how it goes."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.backends.base import TrainSpec
    from phichat.runs import Run
    from phichat.workflow import Project


def arguments(parser: Parser) -> None:
    """Take the run's name, what to do with it, and every setting of the trainer."""
    from phichat.cli.amounts import usd
    from phichat.cli.options import add_config_flags
    from phichat.config.train import TrainConfig

    parser.add_argument("--name", help="of the run; default: from the base model and the settings")
    parser.add_argument("--again", action="store_true", help="train once more, as another run")
    parser.add_argument("--detach", action="store_true", help="start it, and do not wait")
    parser.add_argument("--dry-run", action="store_true", help="only show the steps and what they would cost")
    parser.add_argument("--yes", action="store_true", help="do not ask when it costs money")
    parser.add_argument(
        "--max-cost", metavar="USD", type=usd, help="begin nothing that may cost more, and end what does"
    )
    parser.add_argument("--json", action="store_true", help="events, one JSON object a line")
    parser.epilog = (
        "What is not given is as phichat.toml says, else as the preset has it for the base model.\n"
        "To see what it would take: phichat train --dry-run"
    )
    add_config_flags(parser, "base_model", *(f"train.{name}" for name in TrainConfig.model_fields))


def run(args: argparse.Namespace) -> int:
    """Train, and print the run's name; 1 if it failed, or the person would rather not pay.

    Raises:
        DataError: no data was prepared.
        ConfigError: a setting is wrong, or nobody can be asked about the price.
        BackendError: it could not be started.
    """
    return asyncio.run(_train(args))


async def _train(args: argparse.Namespace) -> int:
    from phichat.cli.forecast import agreed, tell_plan, tell_run
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import out_json

    async with open_project(args) as project:
        training = project.training
        spec = training.spec(training.prepared().dataset, name=args.name, again=args.again)
        spec = spec.model_copy(update={"max_usd": args.max_cost})
        if args.dry_run:
            await tell_plan(project, spec, args.json)
            return 0
        if done := _done(project, spec):
            return _already(done, args.json)
        tell_run(project, spec)
        if not await agreed(project, spec, args.yes):
            return 1
        with reported(args.json) as report:
            started = await training.start(spec, report)
        if args.json:
            out_json("run", started.model_dump(mode="json"))
        return await _follow(project, started, args)


def _done(project: Project, spec: TrainSpec) -> Run | None:
    runs = project.training.ledger.runs()
    return next((run for run in runs if run.name == spec.name and run.state == "succeeded"), None)


def _already(done: Run, as_json: bool) -> int:
    from phichat.cli.terminal import narrate, out, out_json

    narrate(f"{done.name} is done already. To train once more: phichat train --again")
    if as_json:
        out_json("run", done.model_dump(mode="json"))
    else:
        out(done.name)
    return 0


async def _follow(project: Project, started: Run, args: argparse.Namespace) -> int:
    from phichat.cli.following import come_back, follow, tell_page
    from phichat.cli.terminal import out
    from phichat.cli.verdict import tell_end

    if args.detach:
        tell_page(started)
        come_back(started.name, f"{started.name} runs.")
        if not args.json:
            out(started.name)
        return 0
    status = await follow(project, started.name, args.json)
    tell_end(project, started.name, status)
    if not args.json and status.state == "succeeded":
        out(started.name)
    return 0 if status.state == "succeeded" else 1
