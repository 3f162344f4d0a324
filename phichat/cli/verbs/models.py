"""`phichat models`: the base models of the catalogue, and their weights on this machine."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.models import CatalogueEntry, Installed

FACTS = ("title", "hub_id", "parameters", "context", "licence", "download_bytes")
"""What a script is told of a model, as far as it is known."""


def arguments(parser: Parser) -> None:
    """Take what to do, and the model."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    list_ = actions.add_parser("list", help="show the catalogue, and what is on this machine")
    pull = actions.add_parser("pull", help="fetch a model's weights")
    pull.add_argument("name", metavar="MODEL", help="alias, hub id, or folder")
    remove = actions.add_parser("remove", help="delete a model's weights from this machine")
    remove.add_argument("name", metavar="MODEL", help="as 'phichat models' shows it")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    parser.epilog = "Without ACTION: list."
    for action, told in (
        (list_, "one JSON object a line"),
        (pull, "events, then the folder, one JSON object a line"),
        (remove, "what was removed as a JSON object"),
    ):
        # Not given here, it stays as it was given before ACTION.
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=told)


def run(args: argparse.Namespace) -> int:
    """List, fetch or delete weights.

    Raises:
        ConfigError: there is no such model.
    """
    return {None: _list, "list": _list, "pull": _pull, "remove": _remove}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from phichat import models

    here = {each.name: each for each in models.installed(_cache())}
    (_as_json if args.json else _as_text)(models.catalogue(), here)
    return 0


def _as_text(known: Mapping[str, CatalogueEntry], here: Mapping[str, Installed]) -> None:
    from phichat.cli.terminal import out, size, table

    rows = [("MODEL", "PARAMETERS", "CONTEXT", "LICENCE", "DOWNLOAD", "HERE", "")]
    for alias, entry in known.items():
        there = here.get(alias)
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
    rows += [
        (each.name, "", "", each.licence, "", size(each.bytes), each.title)
        for each in here.values()
        if each.name not in known
    ]
    out(table(rows))


def _as_json(known: Mapping[str, CatalogueEntry], here: Mapping[str, Installed]) -> None:
    from phichat.cli.terminal import out_json

    for name in dict.fromkeys([*known, *here]):
        there = here.get(name)
        facts = {fact: getattr(known.get(name, there), fact, None) for fact in FACTS}
        lies = {"folder": there and there.path, "bytes": there and there.bytes}
        out_json("model", {"name": name, **facts, **lies})


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"


def _pull(args: argparse.Namespace) -> int:
    from phichat import models
    from phichat.cli.narration import reported
    from phichat.cli.terminal import out, out_json
    from phichat.config.secret import offer_hf_token

    ref = models.resolve(args.name)
    if ref.repo and models.cached(ref, _cache()) is None:
        offer_hf_token()
    with reported(args.json) as report:
        path = asyncio.run(models.pull(ref, _cache(), report))
    if args.json:
        out_json("pulled", {"model": ref.name, "folder": path})
    else:
        out(str(path))
    return 0


def _remove(args: argparse.Namespace) -> int:
    from phichat import models
    from phichat.cli.terminal import confirmed, narrate, out_json

    ref = models.resolve(args.name)
    if not confirmed(f"Delete the weights of {ref.name} from this machine?", args.yes):
        return 1
    # What was only partly downloaded goes too, and other revisions.
    removed = models.remove(ref, _cache())
    if removed and args.json:
        out_json("removed", {"type": "model", "name": ref.name})
    narrate(f"{ref.name} is deleted." if removed else f"{ref.name} is not on this machine.")
    return 0


def _cache() -> Path:
    from phichat.paths import user_folders

    return user_folders().cache
