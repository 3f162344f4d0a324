"""The last pass: every row goes to the file of its side, and the whole gets its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack

from phichat.data.reading import Findings
from phichat.data.table import BAD, EVAL, FILES, REMOVED, TRAIN
from phichat.events import Event, Step
from phichat.models.files import Meter

TICK = 512
INDEX_FILE = "rows.index"


def deal(found: Findings, report: Callable[[Event], None]) -> str:
    """Write the files of the sides and the table of rows; returns the fingerprint of the whole."""
    table, digest = found.table, hashlib.sha256()
    at = [0, 0, 0, 0]
    meter, total = Meter("Writing", report, "rows"), len(found.spooled)
    with ExitStack() as stack:
        files = {
            side: stack.enter_context((found.folder / FILES[side]).open("wb", buffering=1 << 20))
            for side in (TRAIN, EVAL, REMOVED)
        }
        for done, (row, line) in enumerate(found.lines(without=(BAD,)), 1):
            side = table.side[row]
            table.offset[row] = at[side]
            at[side] += len(line)
            files[side].write(line)
            if side != REMOVED:
                digest.update(bytes((side,)) + found.hashes[row])
            if done % TICK == 0:
                meter(done, total)
        meter(total, total)
        for file in files.values():
            file.flush()
            # Before the folder gets its name: after a power failure, what has a name must be whole.
            os.fsync(file.fileno())
    found.spool.unlink()
    table.save(found.folder / INDEX_FILE)
    for side in (EVAL, REMOVED):
        if not at[side]:
            (found.folder / FILES[side]).unlink()
    report(Step(name="write", state="done", detail=f"{sum(at):,} bytes"))
    return digest.hexdigest()[:16]
