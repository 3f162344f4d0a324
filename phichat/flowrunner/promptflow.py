"""Flows by Prompt flow: all that there is to know about `pf`, which runs as a process of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phichat.backends.base import Report
from phichat.errors import BackendError
from phichat.events import Progress
from phichat.flowrunner.engines import Command, Engine, Flow, Results, Row
from phichat.flowrunner.environment import Environment
from phichat.flowrunner.plain import write_rows
from phichat.flowrunner.running import last_words, run
from phichat.paths import bundled

RETIRED = "2027-04-20"
"""The day on which Microsoft retires Prompt flow; its development ended on 2026-04-20."""
SETTINGS = "telemetry:\n  enabled: false\ntrace:\n  destination: none\n"
"""No telemetry; and no background service for traces, which would outlive the command."""
LOOKED_FOR_UPDATES = {"last_check_time": "9000-01-01 00:00:00.0", "last_hint_time": "9000-01-01 00:00:00.0"}
"""There is no later version, and nobody needs to be asked for one."""
QUIET = {
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
}
"""What its libraries would tell Microsoft besides."""


class PromptFlow(Engine):
    """Microsoft's own runner."""

    name = "promptflow"

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def check(self) -> None:
        self._pf()

    def server(self, port: int, folder: Path) -> Command:
        # On its default engine, flask, the page is broken since 1.18.1.
        serve = ["flow", "serve", "--source", str(_copy("chat", folder)), "--engine", "fastapi"]
        where = ["--host", "127.0.0.1", "--port", str(port), "--skip-open-browser"]
        return Command([*self._pf(), *serve, *where], quiet_home(folder))

    async def batch(
        self, flow: Flow, rows: Sequence[Row], folder: Path, environ: Mapping[str, str], report: Report
    ) -> Results:
        data, log, name = folder / "data.jsonl", folder / "output.log", "batch"
        write_rows(data, rows)
        create = ["run", "create", "--flow", str(_copy(flow, folder)), "--data", str(data), "--name", name]
        # Each column by its name: what is not mapped is silently given its default.
        mapping = ["--column-mapping", *(f"{column}=${{data.{column}}}" for column in rows[0])]
        results = _home_folder(folder) / ".runs" / name

        def look() -> None:
            done = sum(1 for _ in (results / "flow_artifacts").glob("*.jsonl"))
            if done:
                report(Progress(what="answers", done=done, total=len(rows)))

        argv = [*self._pf(), *create, *mapping]
        code = await run(argv, log, env={**environ, **quiet_home(folder)}, cwd=folder, look=look)
        if code != 0:
            raise BackendError(f"Prompt flow failed: {last_words(log)}", f"All of it is in {log}")
        return _read(results, len(rows))

    def _pf(self) -> list[str]:
        return [str(self._environment.python), str(bundled("flows") / "pf.py")]


def quiet_home(folder: Path) -> dict[str, str]:
    """The variables that keep Prompt flow out of the person's home folder, and quiet."""
    home = _home_folder(folder)
    home.mkdir(parents=True, exist_ok=True)
    (home / "pf.yaml").write_text(SETTINGS, encoding="utf-8")
    (home / "pf_version_check.json").write_text(json.dumps(LOOKED_FOR_UPDATES), encoding="utf-8")
    return {"PF_HOME_DIRECTORY": str(home), **QUIET}


def _home_folder(folder: Path) -> Path:
    return folder / "home"


def _copy(flow: Flow, folder: Path) -> Path:
    """A copy of a flow's sources: Prompt flow writes among them."""
    copy = folder / "source" / flow
    shutil.rmtree(copy, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(bundled("flows") / flow, copy, ignore=ignored)


def _read(results: Path, rows: int) -> Results:
    """The results line by line: Prompt flow calls a batch completed even if every line of it has failed."""
    failed = {error["line_number"]: _told(error["error"]["message"]) for error in _errors(results)}
    done = {}
    for text in _text(results / "flow_outputs" / "output.jsonl").split("\n"):
        line: dict[str, Any] = json.loads(text) if text else {}
        number = line.pop("line_number", None)
        if number is not None and number not in failed and None not in line.values():
            done[number] = line
    for number in range(rows):
        if number not in done:
            failed.setdefault(number, "Prompt flow gave no answer, and no reason.")
    metrics = json.loads(_text(results / "metrics.json") or "{}")
    return Results(done=done, failed=failed, metrics=metrics)


def _errors(results: Path) -> list[dict[str, Any]]:
    told = json.loads(_text(results / "error.json") or "{}")
    return [each for more in told.get("additionalInfo") or () for each in more["info"].get("errors", ())]


def _told(message: str) -> str:
    """An error of a tool without what Prompt flow puts before it."""
    return re.sub(r"^Execution failure in '\w+': \(\w+\) ", "", message)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
