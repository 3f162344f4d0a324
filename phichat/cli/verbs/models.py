"""`phichat models`: the base models of the catalogue, and their weights on this machine."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take what to do, and the model."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="the catalogue, and what is on this machine (without ACTION)")
    pull = actions.add_parser("pull", help="fetch a model's weights")
    pull.add_argument("name", metavar="MODEL", help="alias, hub id, or folder")
    remove = actions.add_parser("remove", help="delete a model's weights from this machine")
    remove.add_argument("name", metavar="MODEL")
    remove.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """List, fetch or delete weights.

    Raises:
        ConfigError: there is no such model.
    """
    return {None: _list, "list": _list, "pull": _pull, "remove": _remove}[args.action](args)


def _list(_: argparse.Namespace) -> int:
    from phichat import models
    from phichat.cli.terminal import out, size, table

    here = {each.name: each for each in models.installed(_cache())}
    rows = [("MODEL", "PARAMETERS", "CONTEXT", "LICENCE", "DOWNLOAD", "HERE", "")]
    for alias, entry in models.catalogue().items():
        there = here.pop(alias, None)
        rows.append(
            (
                alias,
                _count(entry.parameters),
                f"{entry.context:,}",
                entry.licence,
                size(entry.download_bytes),
                size(there.bytes) if there else "no",
                entry.title,
            )
        )
    rows += [(each.name, "", "", each.licence, "", size(each.bytes), each.title) for each in here.values()]
    out(table(rows))
    return 0


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"


def _pull(args: argparse.Namespace) -> int:
    from phichat import models
    from phichat.cli.narration import narrated
    from phichat.cli.terminal import out
    from phichat.config.secret import offer_hf_token

    ref = models.resolve(args.name)
    if ref.repo and models.cached(ref, _cache()) is None:
        offer_hf_token()
    with narrated() as narrator:
        path = asyncio.run(models.pull(ref, _cache(), narrator))
    out(str(path))
    return 0


def _remove(args: argparse.Namespace) -> int:
    from phichat import models
    from phichat.cli.terminal import confirmed, narrate

    ref = models.resolve(args.name)
    if not confirmed(f"Delete the weights of {ref.name} from this machine?", args.yes):
        return 1
    # What was only partly downloaded goes too, and other revisions.
    removed = models.remove(ref, _cache())
    narrate(f"{ref.name} is deleted." if removed else f"{ref.name} is not on this machine.")
    return 0


def _cache() -> Path:
    from phichat.paths import user_folders

    return user_folders().cache
