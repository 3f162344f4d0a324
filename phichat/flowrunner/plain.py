"""Flows without Prompt flow: by their own server and scripts, in the environment that phichat runs in."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from phichat.backends.base import Report
from phichat.errors import BackendError, ConfigError
from phichat.events import Progress, parse
from phichat.flowrunner.engines import Command, Engine, Flow, Results, Row
from phichat.flowrunner.running import last_words, run
from phichat.paths import bundled

SCRIPTS = {"chat": "chat/batch.py", "evaluate": "evaluate/metrics.py"}


class Plain(Engine):
    """Needs no setup, and starts in half a second."""

    name = "plain"

    def server(self, port: int, folder: Path) -> Command:
        missing = [each for each in ("starlette", "uvicorn") if importlib.util.find_spec(each) is None]
        if missing:
            raise ConfigError(
                f"The flow server needs {' and '.join(missing)}.", f"pip install {' '.join(missing)}"
            )
        argv = [sys.executable, str(_flows("chat/plain.py")), "--port", str(port)]
        # A key of the person's is for servers that others may use.
        return Command(argv, {"CHAT_FLOW_KEY": ""})

    async def batch(
        self, flow: Flow, rows: Sequence[Row], folder: Path, environ: Mapping[str, str], report: Report
    ) -> Results:
        data, results, log = (folder / name for name in ("data.jsonl", "answers.jsonl", "output.log"))
        write_rows(data, rows)
        argv = [sys.executable, str(_flows(SCRIPTS[flow])), str(data), str(results)]
        code = await run(argv, log, env=environ, look=lambda: _tell(log, report))
        if code != 0:
            raise BackendError(f"The flow {flow!r} failed: {last_words(log)}", f"All of it is in {log}")
        return _read(results)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as JSON lines; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _read(path: Path) -> Results:
    done, failed, metrics = {}, {}, {}
    for text in path.read_text(encoding="utf-8").split("\n"):
        line = json.loads(text) if text else {}
        if "metrics" in line:
            metrics = line["metrics"]
        elif "error" in line:
            failed[line["line_number"]] = line["error"]
        elif line:
            done[line.pop("line_number")] = line
    return Results(done=done, failed=failed, metrics=metrics)


def _tell(log: Path, report: Report) -> None:
    event = parse(last_words(log))
    if isinstance(event, Progress):
        report(event)


def _flows(name: str) -> Path:
    return bundled("flows") / name
