"""Loads the training libraries once, then forks a process for each run that it is asked for.

A script, not a module. It reads one JSON object a line: one that names a script runs `main(argv)` of it in a
new process, with its output in files, and is answered with the process id; `wait` is answered with its end.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    sys.path[:0] = [str(Path(__file__).parents[2] / "trainer")]
    importlib.import_module("environment").prepare(None)
    importlib.import_module("callbacks")
    importlib.import_module("sft")
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), file=answer)
            continue
        pid = os.fork()
        if pid == 0:
            answer.close()
            _become(request)
        print(pid, file=answer)


def _become(request: dict[str, Any]) -> None:
    import resource

    folder = Path(request["folder"])
    for descriptor, name in ((1, request["stdout"]), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, descriptor)
    if request["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"],) * 2)
    if request["memory"] is not None:
        used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * os.sysconf(
            "SC_PAGESIZE"
        )
        resource.setrlimit(resource.RLIMIT_AS, (used + request["memory"],) * 2)
    os.environ.update(request["environment"])
    code = 1
    try:
        code = importlib.import_module(request["script"]).main(request["argv"])
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
