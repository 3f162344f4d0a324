"""`phichat check`: is everything in place, and which configuration holds?"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser
from phichat.errors import PhichatError

if TYPE_CHECKING:
    from phichat.backends.base import Check
    from phichat.config import Setting
    from phichat.workflow import Project


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show every check with its fix, then every key with where it came from; 1 if a check failed."""
    from phichat.backends.base import Check
    from phichat.cli.options import open_project

    show = _as_json if args.json else _as_text
    try:
        project = open_project(args)
    except PhichatError as error:
        checks = [Check(name="configuration", ok=False, detail=error.message, fix=error.hint)]
        show(checks, None)
        return 1
    checks = asyncio.run(_checks(project))
    show(checks, project)
    return 0 if all(check.ok for check in checks) else 1


async def _checks(project: Project) -> list[Check]:
    async with project:
        return await project.check()


def _as_text(checks: Sequence[Check], project: Project | None) -> None:
    from phichat.cli.terminal import out, table
    from phichat.config import redact

    rows = []
    for check in checks:
        rows.append(("ok" if check.ok else "FAIL", check.name, check.detail))
        if not check.ok and check.fix:
            rows.append(("", "", f"→ {check.fix}"))
    out(redact(table(rows)))
    if project is not None:
        out("")
        out(f"project    {project.root or 'none: defaults, and what is yours'}")
        own = project.loaded.user_file
        out(f"your file  {own}{'' if own.exists() else ' (not there)'}")
        out("")
        settings = [(s.key, _shown(s.value), str(s.origin)) for s in _settings(project)]
        out(redact(table(settings)))


def _as_json(checks: Sequence[Check], project: Project | None) -> None:
    from phichat.cli.terminal import out_json

    for check in checks:
        out_json("check", check.model_dump())
    for setting in _settings(project) if project else ():
        origin = setting.origin
        out_json(
            "setting",
            {"key": setting.key, "value": setting.value, "source": origin.source, "where": str(origin)},
        )


def _settings(project: Project) -> Iterator[Setting]:
    """Every setting; of a backend that cannot be loaded, which the checks tell, what was written."""
    own = None
    with contextlib.suppress(PhichatError):
        own = project.registry.load(project.config.backend).settings_type
    return project.loaded.settings(own)


def _shown(value: object) -> str:
    return "" if value is None else str(value).splitlines()[0] if str(value) else '""'
