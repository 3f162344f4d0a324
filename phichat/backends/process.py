"""A job as a detached process that outlives the application and is watched again from a new one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import psutil
from filelock import FileLock

from phichat.backends import _supervise, output
from phichat.errors import BackendError, NotFoundError
from phichat.events import Event, Log, Status, parse
from phichat.paths import write_atomic

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
AGAIN = "Started again"
"""How the story of a further attempt begins."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ProcessJobs:
    """Jobs of this machine, each a folder with its command, its output and how it ended.

    A job is alive while a lock file in its folder is locked, which the system undoes however a process
    ends: no process id is ever trusted after a restart of the machine. The output is one file, appended
    to when a failed job is started again. An event's `seq` is its place there, where every attempt that
    ended has one for its end.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """Every job that was ever started and not removed, sorted."""
        if not self.directory.is_dir():
            return []
        return sorted(path.parent.name for path in self.directory.glob("*/job.json"))

    def place(self, name: str) -> Path:
        """The folder of a job, whether it exists or not.

        Raises:
            BackendError: no job can have that name.
        """
        if not _NAME.fullmatch(name):
            raise BackendError(f"{name!r} is no name for a job.", "Use letters, digits, '-', '_' and '.'.")
        return self.directory / name

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> bool:
        """Run a command as the job `name`; False if it is running or has succeeded already.

        A job that failed or was cancelled is started again. `env` is added to this process's environment
        and is not stored. Blocks for about 0.1 s.

        Raises:
            BackendError: the job's process could not be started.
        """
        folder = self.place(name)
        with FileLock(self._start_lock(name)):
            folder.mkdir(exist_ok=True)
            now = self._now(folder)
            if now is not None and now.state in ("running", "succeeded"):
                return False
            self._prepare(folder, argv, cwd)
            self._launch(folder, env or {})
        return True

    def status(self, name: str) -> Status:
        """The job as it is now: running, succeeded, failed or cancelled.

        Raises:
            NotFoundError: there is no such job.
        """
        now = self._now(self._folder(name))
        if now is not None:
            return now
        # It may be starting: whoever starts a job holds its lock until a process has it in hand.
        with _held(self._start_lock(name), name) as starting:
            if starting:
                return Status(state="running")
            folder = self._folder(name)
            return self._now(folder) or _lost(folder)

    def command(self, name: str) -> list[str]:
        """The command that the job was started with."""
        argv: list[str] = _read(self._folder(name) / "job.json")["argv"]
        return argv

    def pid(self, name: str) -> int | None:
        """The process id of the running command, or None."""
        running = self.status(name).state == "running"
        return self._child(self._folder(name)).get("pid") if running else None

    def lines(self, name: str) -> Iterator[str]:
        """The complete lines that the job has written so far."""
        for line, _ in output.lines(self._folder(name) / "output.log", 0):
            yield line

    async def log(self, name: str) -> AsyncGenerator[str, None]:
        """The same, for who must not wait for a long log to be read.

        Raises:
            NotFoundError: there is no such job.
        """
        position, full = 0, True
        while full:
            block = await asyncio.to_thread(self._block, name, position)
            for line, end in block:
                position = end
                yield line
            full = len(block) == output.BLOCK

    async def watch(self, name: str) -> AsyncGenerator[Event, None]:
        """The job's events from its first line, then as they come, to exactly one finished `Status`.

        Raises:
            NotFoundError: there is no such job, or it was removed meanwhile.
        """
        position = seq = 0
        said = Status(state="running")
        last = ""
        while True:
            # Look at the state first: what is written until then is then surely read.
            now = await asyncio.to_thread(self.status, name)
            block = await asyncio.to_thread(self._events, name, position, now.finished)
            for event, end in block:
                position = end
                if isinstance(event, Status) and event.detail.startswith(AGAIN):
                    # How the attempt before has ended was told at this place, and is history now.
                    said, last, seq = Status(state="running"), "", seq + 1
                if isinstance(event, Status) and event.finished:
                    said = event  # the process ends the stream, not its word
                    continue
                last = event.line if isinstance(event, Log) and event.line.strip() else last
                yield event.model_copy(update={"seq": seq})
                seq += 1
            if len(block) == output.BLOCK:
                continue
            if now.finished:
                yield _final(now, said, last).model_copy(update={"seq": seq})
                return
            await asyncio.sleep(POLL_SECONDS)

    async def cancel(self, name: str, grace: float = GRACE_SECONDS) -> None:
        """End a running job: asked first, killed after `grace` seconds; a finished one stays as it is.

        Raises:
            NotFoundError: there is no such job.
        """
        folder = self._folder(name)
        if await asyncio.to_thread(self._mark, folder):
            await asyncio.to_thread(self._end, folder, grace)

    def remove(self, name: str) -> None:
        """Forget a job that is not running, with its output; one that is gone already is no error."""
        folder = self.place(name)
        if not (folder / "job.json").exists():
            return
        with FileLock(self._start_lock(name)):
            now = self._now(folder)
            if now is not None and not now.finished:
                raise BackendError(f"The job {name!r} is running.", "Cancel it first.")
            (folder / "job.json").unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def _start_lock(self, name: str) -> Path:
        """Held while a job is started or removed; outside its folder, or it would be removed with it."""
        locks = self.directory / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return locks / f"{name}.lock"

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        if not _NAME.fullmatch(name) or not (folder / "job.json").exists():
            raise NotFoundError(f"There is no job {name!r}.")
        return folder

    def _events(self, name: str, position: int, to_the_end: bool) -> list[tuple[Event, int]]:
        return [(parse(line), end) for line, end in self._block(name, position, to_the_end)]

    def _block(self, name: str, position: int, to_the_end: bool = False) -> list[tuple[str, int]]:
        return output.block(self._folder(name) / "output.log", position, to_the_end)

    def _prepare(self, folder: Path, argv: Sequence[str], cwd: Path | None) -> None:
        attempt = _read(folder / "job.json").get("attempt", 0) + 1
        job = {"argv": list(argv), "cwd": str(cwd or folder), "attempt": attempt}
        write_atomic(folder / "job.json", json.dumps(job))
        (folder / "cancel").unlink(missing_ok=True)
        if attempt > 1:
            again = Status(state="preparing", detail=f"{AGAIN} (attempt {attempt}).")
            with (folder / "output.log").open("ab+") as log:
                # A line that was being written when the attempt before was killed ends here.
                log.seek(max(0, log.seek(0, os.SEEK_END) - 1))
                end = b"" if log.read() in (b"", b"\n") else b"\n"
                log.write(end + f"{again.model_dump_json(exclude_none=True)}\n".encode())

    def _launch(self, folder: Path, env: Mapping[str, str]) -> None:
        launched = subprocess.run(
            [sys.executable, "-I", "-S", _supervise.__file__, "launch", str(folder)],
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if launched.returncode not in (0, _supervise.BUSY):
            reason = launched.stderr.decode(errors="replace").strip().splitlines()
            raise BackendError(
                f"The job {folder.name!r} could not be started{': ' + reason[-1] if reason else ''}."
            )

    def _alive(self, folder: Path) -> bool:
        with _held(folder / _supervise.ALIVE, folder.name) as alive:
            return alive

    def _now(self, folder: Path) -> Status | None:
        """The job as it is; None if nobody runs it, nor has written down how it ended, or not yet."""
        if not (folder / "job.json").exists():
            return None
        ended = self._ended(folder)
        if ended is None and self._alive(folder):
            return Status(state="running")
        # It may have ended between the two looks.
        return ended or self._ended(folder)

    def _ended(self, folder: Path) -> Status | None:
        """How the current attempt ended; None if nobody has written that down."""
        ended = _read(folder / "exit.json")
        if not ended or ended["attempt"] != _read(folder / "job.json").get("attempt"):
            return None
        if ended["code"] == 0:
            return Status(state="succeeded")
        if (folder / "cancel").exists():
            return Status(state="cancelled")
        return Status(state="failed", detail=ended["detail"] or _told(ended["code"]))

    def _child(self, folder: Path) -> dict[str, Any]:
        """The command of the current attempt; nothing before it runs."""
        child = _read(folder / "child.json")
        return child if child.get("attempt") == _read(folder / "job.json").get("attempt") else {}

    def _mark(self, folder: Path) -> bool:
        """Say that a running job is to end; one that is being started gets as far as that first."""
        with FileLock(self._start_lock(folder.name)):
            now = self._now(folder)
            if now is None or now.finished:
                return False
            (folder / "cancel").touch()
            return True

    def _end(self, folder: Path, grace: float) -> None:
        child = self._child(folder)
        if not child:
            return
        try:
            process = psutil.Process(child["pid"])
            # Process ids are used again: one that began later than ours is somebody else's.
            if process.create_time() > child["started"] + 1:
                return
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for member in family:
            _signal(member, psutil.Process.terminate)
        _, left = psutil.wait_procs(family, timeout=grace)
        for member in left:
            _signal(member, psutil.Process.kill)
        psutil.wait_procs(left, timeout=grace)
        # The supervisor writes down how it ended before it lets go of the lock.
        deadline = time.monotonic() + grace
        while self._alive(folder) and time.monotonic() < deadline:
            time.sleep(0.01)


@contextlib.contextmanager
def _held(lock: Path, name: str) -> Iterator[bool]:
    """Whether somebody holds a job's lock; nobody takes it until the end of the block.

    Raises:
        BackendError: nobody can tell.
    """
    try:
        file = _opened(lock)
    except OSError as error:
        told = f"Whether {name!r} is alive cannot be seen: {lock.parent}: {error.strerror}."
        raise BackendError(told, "Ask as the person who started it.") from error
    if file is None:
        yield False
        return
    with file:
        yield not _supervise.try_lock(file, shared=True)


def _opened(lock: Path) -> BinaryIO | None:
    """A lock file, to be read; made if it is missing, None where a read-only disk does not let it be."""
    try:
        return lock.open("rb")
    except FileNotFoundError:
        pass
    try:
        return lock.open("ab")
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EROFS:
            return None
        raise


def _signal(process: psutil.Process, send: Any) -> None:
    try:
        send(process)
    except psutil.NoSuchProcess:
        return


def _lost(folder: Path) -> Status:
    """How a job ended that could not write it down itself."""
    if (folder / "cancel").exists():
        return Status(state="cancelled")
    return Status(state="failed", detail="The process that ran the job was killed.")


def _final(now: Status, said: Status, last: str) -> Status:
    """How the process ended, in the job's own words where it found any."""
    if said.finished and said.detail and said.state == now.state:
        return said
    if now.state == "failed" and last:
        return now.model_copy(update={"detail": f"{now.detail} Its last words: {last.strip()}"})
    return now


def _told(code: int) -> str:
    if code >= 0:
        return f"It ended with exit code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " The machine may have run out of memory." if name == "SIGKILL" else ""
    return f"It was ended by {name}.{hint}"


def _read(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    # Windows lets nobody read a file in the moment in which it is replaced: it is not there yet.
    except (FileNotFoundError, PermissionError, json.JSONDecodeError):
        return {}
    return value
