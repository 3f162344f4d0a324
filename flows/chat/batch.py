"""Answers many rows without Prompt flow: `batch.py DATA RESULTS`; its progress is JSON lines on stdout."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import deployment

WORKERS = 4
"""Rows asked at once: a deployment takes several, and one that cannot lets them wait."""


def answered(row: Mapping[str, Any]) -> dict[str, str]:
    """The answer to a row, or why there is none."""
    try:
        pieces = deployment.answer(row.get("question"), row.get("chat_history", ()))
        return {"answer": "".join(pieces)}
    except deployment.DeploymentError as error:
        return {"error": str(error)}


def main(argv: Sequence[str] | None = None) -> int:
    """Answer every row, and write a line for each as soon as it is known."""
    parser = argparse.ArgumentParser(prog="batch.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args(argv)
    with arguments.data.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with arguments.results.open("w", encoding="utf-8") as file, ThreadPoolExecutor(WORKERS) as pool:
        asked = {pool.submit(answered, row): at for at, row in enumerate(rows)}
        for done, future in enumerate(as_completed(asked), start=1):
            line = {"line_number": asked[future], **future.result()}
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n")
            event = {"kind": "progress", "what": "answers", "done": done, "total": len(rows)}
            print(json.dumps(event), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
