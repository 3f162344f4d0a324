"""`phichat data`: any conversations in, checked and divided training files out."""

from __future__ import annotations

import argparse
import asyncio
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.data import BadRowsError, DataOptions, Prepared
    from phichat.workflow import Project

SHOWN = 20
"""Problems that are told one by one; the file that is named has all of them."""


def arguments(parser: Parser) -> None:
    """Take the source, how to read it, and what to do about what is found."""
    from phichat.cli.options import add_config_flags
    from phichat.data.formats import EVERY

    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="file, folder, owner/name of the hub, '-' for standard input, or 'demo'; default: data.source",
    )
    add_config_flags(parser, "base_model", "data.split", "data.test_size", "data.seed", "data.max_length")
    parser.add_argument("--subset", help="configuration of a hub dataset that has several")
    parser.add_argument("--revision", help="commit, tag or branch of a hub dataset")
    parser.add_argument(
        "--format", metavar="NAME", help=f"the rows' format, where it cannot be recognised: {EVERY}"
    )
    parser.add_argument(
        "--map", metavar="ROLE=COLUMN,…", help="columns of flat rows: user=question,assistant=answer,system=…"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave rows with errors out, into a file")
    for flag, what in (
        ("--duplicates", "rows that equal an earlier one"),
        ("--near-duplicates", "rows that nearly repeat an earlier one"),
        ("--leakage", "held-out rows whose questions are trained on"),
    ):
        parser.add_argument(
            flag, choices=("off", "report", "remove"), default="report", help=f"{what}; default: report"
        )
    parser.add_argument(
        "--personal",
        choices=("off", "report", "mask", "remove"),
        default="report",
        help="likely personal data and keys; default: report",
    )
    parser.add_argument("--no-tokens", action="store_true", help="do not count every row's tokens")
    parser.add_argument(
        "--json", action="store_true", help="events, then the manifest, one JSON object a line"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare the source and report on it; 1 if it has errors.

    Raises:
        ConfigError: no source is named, or a flag is wrong.
        DataError: the source cannot be read.
    """
    return asyncio.run(_data(args))


async def _data(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.data import BadRowsError

    async with open_project(args) as project:
        source, options = _source(args, project), _options(args, project)
        _refuse_what_only_the_hub_has(source, args)
        try:
            prepared = await _prepared(source, options, project, args.json)
        except BadRowsError as error:
            _tell(error, args.json)
            raise
    _show(prepared, args.json)
    return 0


async def _prepared(source: str, options: DataOptions, project: Project, as_json: bool) -> Prepared:
    from phichat.cli.narration import reported
    from phichat.workflow.preparing import Chosen, prepare_chosen

    chosen = Chosen(source=source, options=options)
    with reported(as_json) as report:
        return await prepare_chosen(project, chosen, report)


def _source(args: argparse.Namespace, project: Project) -> str:
    from phichat.errors import ConfigError

    source: str | None = args.source or project.config.data.source
    if source is None:
        raise ConfigError("No source of conversations is named.", "To try it with ours: phichat data demo")
    return source


def _refuse_what_only_the_hub_has(source: str, args: argparse.Namespace) -> None:
    """An option that would be ignored is refused; a `split` of the configuration may be for another source.

    Raises:
        ConfigError: a flag for datasets of the hub was given with something else.
    """
    from phichat.errors import ConfigError

    if source not in ("-", "demo") and not Path(source).expanduser().exists():
        return
    given = {"--split": "data.split" in args, "--subset": args.subset, "--revision": args.revision}
    for flag in (flag for flag, value in given.items() if value):
        raise ConfigError(f"{flag} is for datasets of the hub, and {source} is none.", "Leave it out.")


def _options(args: argparse.Namespace, project: Project) -> DataOptions:
    from phichat.data import DataOptions

    chosen = project.config.data
    return DataOptions(
        format=args.format,
        columns=_columns(args.map),
        split=chosen.split,
        subset=args.subset,
        revision=args.revision,
        test_size=chosen.test_size,
        seed=chosen.seed,
        skip_bad=args.skip_bad,
        duplicates=args.duplicates,
        near_duplicates=args.near_duplicates,
        leakage=args.leakage,
        personal=args.personal,
        tokens=not args.no_tokens,
        max_length=chosen.max_length,
    )


def _columns(text: str | None) -> Any:
    """The columns by role that `--map` names."""
    from phichat.errors import ConfigError

    columns = {}
    for pair in (text or "").split(",") if text else ():
        role, equals, column = pair.strip().partition("=")
        if role not in ("user", "assistant", "system") or not equals or not column:
            told = f"--map {text} is not understood at {pair.strip()!r}."
            raise ConfigError(told, "For example: --map user=question,assistant=answer,system=instructions")
        columns[role] = column
    return columns


def _tell(error: BadRowsError, as_json: bool) -> None:
    """The first problems, one sentence each, and where all of them are."""
    from phichat.cli.terminal import narrate, out_json
    from phichat.data.rows import problems

    if as_json:
        for problem in problems(error.problems_file):
            out_json("problem", problem.model_dump())
        return
    for problem in islice(problems(error.problems_file), SHOWN):
        narrate(str(problem))
    every = sum(error.counts.values())
    if every > SHOWN:
        narrate(f"… and {every - SHOWN:,} more: all {every:,} are in {error.problems_file}")


def _show(prepared: Prepared, as_json: bool) -> None:
    from phichat.cli.terminal import narrate, out, out_json, table
    from phichat.data.told import facts

    manifest = prepared.manifest
    if as_json:
        out_json("manifest", {"folder": str(prepared.folder), **manifest.model_dump(mode="json")})
        return
    out(table([*facts(manifest), ("folder", str(prepared.folder))]))
    narrate("Next: phichat train")
