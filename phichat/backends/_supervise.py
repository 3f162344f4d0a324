"""Runs one job apart from whoever asked for it: a script of the standard library only, never imported.

`launch FOLDER` starts `run FOLDER` as a process of its own and returns when that one has the job in hand;
`run FOLDER` runs the command of FOLDER/job.json and leaves its output and how it ended in FOLDER.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

ALIVE = "alive"
END, END_BYTES = "exit.tmp", 256
"""The file that says how the job ended, while nobody knows, and its size."""
BUSY = 3
"""Exit code of a supervisor that found another one at work."""


def try_lock(file: BinaryIO, shared: bool = False, platform: str = sys.platform) -> bool:
    """Take a lock that the system lets go of when the process ends, however it ends.

    A shared one only asks whether somebody holds an exclusive one; those who ask do not disturb each other.
    """
    try:
        if platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def detached(platform: str = sys.platform) -> dict[str, Any]:
    """The arguments of Popen that make a process outlive its parent and its terminal."""
    if platform == "win32":
        detached_process, new_group = 0x00000008, 0x00000200
        return {"creationflags": detached_process | new_group}
    return {"start_new_session": True}


def launch(folder: str) -> int:
    """Start the supervisor and wait for its word that it has the job in hand."""
    supervisor = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, "run", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **detached(),
    )
    assert supervisor.stdout is not None
    if supervisor.stdout.readline().strip() == b"ready":
        return 0
    return supervisor.wait() or 1


def run(folder: Path) -> int:
    """Run the job to its end, holding the lock that says it is alive."""
    with (folder / ALIVE).open("ab") as alive:
        # Somebody who looks whether the job is alive holds the lock for a moment.
        for _ in range(200):
            if try_lock(alive):
                break
            time.sleep(0.01)
        else:
            return BUSY
        return _run_locked(folder, alive)


def _run_locked(folder: Path, alive: BinaryIO) -> int:
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    # The child holds the lock too: while it lives, the job is alive, even if this process was killed.
    inherit: dict[str, Any] = {} if sys.platform == "win32" else {"pass_fds": (alive.fileno(),)}
    # Room for how it ends, also when the job has filled the disk by then.
    (folder / END).write_bytes(b" " * END_BYTES)
    with (folder / "output.log").open("ab") as log:
        try:
            child = subprocess.Popen(
                job["argv"],
                cwd=job["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **inherit,
            )
        except OSError as error:
            _write_end(folder, {"attempt": job["attempt"], "code": 127, "detail": str(error)})
            _say_ready()
            return 0
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    _write(folder / "child.json", {"attempt": job["attempt"], "pid": child.pid, "started": time.time()})
    _say_ready()
    code = child.wait()
    _write_end(folder, {"attempt": job["attempt"], "code": code, "detail": ""})
    return 0


def _say_ready() -> None:
    # Whoever asked may be gone; the job is to go on all the same.
    with contextlib.suppress(OSError):
        os.write(1, b"ready\n")
    # Nobody reads on: a later write must not fail, and a parent must not wait for the end of the pipe.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def _write_end(folder: Path, value: dict[str, Any]) -> None:
    """Write down how the job ended, where room was kept for it; spaces behind JSON mean nothing."""
    with (folder / END).open("r+b") as file:
        file.write(json.dumps(value).encode().ljust(END_BYTES))
    _replace(folder / END, folder / "exit.json")


def _write(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    _replace(temporary, path)


def _replace(temporary: Path, path: Path) -> None:
    # Windows refuses for as long as somebody reads what stands there.
    for _ in range(200):
        with contextlib.suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(0.01)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(launch(sys.argv[2]) if sys.argv[1] == "launch" else run(Path(sys.argv[2])))
