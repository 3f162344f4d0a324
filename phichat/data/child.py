"""The child process that prepares one source: `python -m phichat.data.child FOLDER`.

The folder holds the request and gets the outcome. Reading gigabytes here keeps the event loop of the parent
free, gives the memory back, and can be ended at any moment.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

from phichat.data.request import OUTCOME_FILE, REQUEST_FILE, ROWS_FOLDER, Outcome, Request
from phichat.errors import DataError, PhichatError, of_the_disk
from phichat.events import Event, dump


def main(folder: Path) -> int:
    """Prepare what the folder's request says; events go to standard output, one a line."""
    from phichat.data.work import work

    request = Request.model_validate_json((folder / REQUEST_FILE).read_text(encoding="utf-8"))
    rows = folder / ROWS_FOLDER
    rows.mkdir()
    outcome = Outcome()
    try:
        work(request.source, request.options, rows, _say)
    except PhichatError as error:
        outcome = Outcome(error=type(error).__name__, message=error.message, hint=error.hint)
    except OSError as error:
        told = of_the_disk(error) or DataError(f"The data could not be prepared: {error}.")
        outcome = Outcome(error="DataError", message=told.message, hint=told.hint)
    if outcome.error:
        shutil.rmtree(rows)  # on a full disk, it is the room to say so
    (folder / OUTCOME_FILE).write_text(outcome.model_dump_json(), encoding="utf-8")
    return 1 if outcome.error else 0


def _say(event: Event) -> None:
    try:
        sys.stdout.write(dump(event) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The parent is gone: nobody wants the rest.
        os._exit(1)


if __name__ == "__main__":
    # Rows are no cycles: looking for some after every few hundred objects takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    sys.exit(main(Path(sys.argv[1])))
