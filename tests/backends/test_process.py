"""Jobs as detached processes: they outlive whoever started them and are watched again from elsewhere."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from phichat.backends import _supervise
from phichat.backends.output import BLOCK
from phichat.backends.process import ProcessJobs
from phichat.errors import BackendError, NotFoundError
from phichat.events import Event, Log, Metric, Status, parse
from phichat.runs import EventLog

WAIT = "import sys, time; print('started', flush=True); time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def events(jobs: ProcessJobs, name: str) -> list[Event]:
    return [event async for event in jobs.watch(name)]


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def jobs(tmp_path: Path) -> ProcessJobs:
    return ProcessJobs(tmp_path / "jobs")


async def test_watch_tells_lines_and_events_and_one_end(jobs: ProcessJobs) -> None:
    metric = Metric(at=1, step=3, values={"loss": float("nan")})
    jobs.start("one", python(f"print('hello'); print({metric.model_dump_json()!r})"))
    told = await events(jobs, "one")
    assert [type(event) for event in told] == [Log, Metric, Status]
    assert [event.seq for event in told] == [0, 1, 2]
    assert isinstance(told[1], Metric) and str(told[1].values["loss"]) == "nan"
    assert isinstance(told[-1], Status) and told[-1].state == "succeeded"


async def test_a_long_story_is_told_whole_and_in_order(jobs: ProcessJobs) -> None:
    lines = 2 * BLOCK + 1
    jobs.start("long", python(f"for line in range({lines}): print(line)"))
    told = await events(jobs, "long")
    assert [event.line for event in told if isinstance(event, Log)] == [str(line) for line in range(lines)]
    assert [event.seq for event in told] == list(range(lines + 1))


async def test_a_long_log_is_not_read_to_its_end_before_its_first_line(jobs: ProcessJobs) -> None:
    jobs.start("long", python(f"for line in range({2 * BLOCK}): print('old', line)"))
    await events(jobs, "long")
    log = jobs.log("long")
    assert await anext(log) == "old 0"
    output = jobs.place("long") / "output.log"
    output.write_bytes(output.read_bytes().replace(b"old", b"new"))
    rest = [line async for line in log]
    assert rest == [f"{'old' if line < BLOCK else 'new'} {line}" for line in range(1, 2 * BLOCK)]


async def test_the_end_is_the_process_not_its_word(jobs: ProcessJobs) -> None:
    done = Status(state="succeeded", detail="I am done").model_dump_json()
    jobs.start("liar", python(f"print({done!r}); raise SystemExit(4)"))
    told = await events(jobs, "liar")
    assert [event.state for event in told if isinstance(event, Status)] == ["failed"]


async def test_the_end_is_told_in_the_jobs_own_words(jobs: ProcessJobs) -> None:
    failed = Status(state="failed", detail="The disk is full.").model_dump_json()
    jobs.start("full", python(f"print({failed!r}); raise SystemExit(1)"))
    assert (await events(jobs, "full"))[-1] == Status(state="failed", detail="The disk is full.").model_copy(
        update={"at": parse(failed).at, "seq": 0}
    )


async def test_who_comes_late_to_a_job_that_went_on_is_told_all_of_it_once_and_in_order(
    jobs: ProcessJobs, tmp_path: Path
) -> None:
    """One attempt said how it failed, one was killed in the middle of a line, and one succeeded."""
    failed = Status(state="failed", detail="The disk is full.").model_dump_json()
    killed = "import os; os.write(1, b'two\\nbroken'); os.kill(os.getpid(), 9)"
    ends, ledger = [], EventLog(tmp_path / "events.jsonl")
    for code in (f"print('one'); print({failed!r}); raise SystemExit(1)", killed, "print('three')"):
        assert jobs.start("one", python(code))
        ends.append((await kept(jobs, ledger))[-1])
    assert [(end.state, end.detail.partition(" (")[0]) for end in ends if isinstance(end, Status)] == [
        ("failed", "The disk is full."),
        ("failed", "It was ended by SIGKILL. The machine may have run out of memory. Its last words: broken"),
        ("succeeded", ""),
    ]
    late = await events(jobs, "one")
    told = [said(event) for event in late]
    again = [f"Started again (attempt {number})." for number in (2, 3)]
    assert told == ["one", again[0], "two", "broken", again[1], "three", ""]
    # Whoever watched from the beginning has the same, and how the earlier attempts had ended.
    assert [event.seq for event in ledger] == list(range(9))
    history = [event for event in ledger if not (isinstance(event, Status) and event.finished)]
    assert [(event.seq, said(event)) for event in history] == [
        (event.seq, said(event)) for event in late[:-1]
    ]


def said(event: Event) -> str:
    return event.line if isinstance(event, Log) else str(getattr(event, "detail", ""))


async def kept(jobs: ProcessJobs, ledger: EventLog) -> list[Event]:
    """Watch to the end, and keep what is new."""
    told = await events(jobs, "one")
    for event in told:
        ledger.append(event)
    return told


async def test_a_new_process_replays_from_the_beginning(jobs: ProcessJobs) -> None:
    jobs.start("one", python("print('a'); print('b')"))
    here = await events(jobs, "one")
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from phichat.backends.process import ProcessJobs; from phichat.events import dump\n"
        "async def main():\n"
        "    async for event in ProcessJobs(Path(sys.argv[1])).watch('one'): print(dump(event))\n"
        "asyncio.run(main())"
    )
    there = subprocess.run([*python(code), str(jobs.directory)], capture_output=True, text=True, check=True)
    again = [parse(line) for line in there.stdout.splitlines()]
    assert [(type(event), event.seq) for event in again] == [(type(event), event.seq) for event in here]


async def test_a_job_outlives_the_process_that_started_it(jobs: ProcessJobs, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = (
        f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\nprint('went')"
    )
    code = (
        "import os, signal, sys; from pathlib import Path; from phichat.backends.process import ProcessJobs\n"
        "ProcessJobs(Path(sys.argv[1])).start('one', [sys.executable, '-c', sys.argv[2]])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    starter = subprocess.run([*python(code), str(jobs.directory), job], check=False)
    assert starter.returncode == -9
    assert jobs.status("one").state == "running"
    go.touch()
    told = await events(jobs, "one")
    assert [event.line for event in told if isinstance(event, Log)] == ["went"]


async def test_room_for_how_it_ends_is_kept_before_the_job_can_fill_the_disk(jobs: ProcessJobs) -> None:
    jobs.start("one", python(WAIT))
    place = jobs.place("one")
    kept = (place / "exit.tmp").stat()
    assert kept.st_size == 256
    await jobs.cancel("one")
    ended = (place / "exit.json").stat()
    assert (ended.st_ino, ended.st_size) == (kept.st_ino, kept.st_size)
    assert jobs.status("one").state == "cancelled"


def test_starting_twice_is_one_job(jobs: ProcessJobs) -> None:
    assert jobs.start("one", python(WAIT))
    pid = jobs.pid("one")
    assert not jobs.start("one", python(WAIT))
    assert jobs.pid("one") == pid
    asyncio.run(jobs.cancel("one"))


def test_two_who_start_at_once_start_one(jobs: ProcessJobs) -> None:
    code = (
        "import sys; from pathlib import Path; from phichat.backends.process import ProcessJobs\n"
        "sys.stdin.readline()\n"
        f"print(ProcessJobs(Path(sys.argv[1])).start('one', [sys.executable, '-c', {WAIT!r}]))"
    )
    starters = [
        subprocess.Popen(
            [*python(code), str(jobs.directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    said = sorted(starter.communicate()[0].strip() for starter in starters)
    assert said == ["False", "False", "False", "True"]
    until(lambda: list(jobs.lines("one")))
    assert list(jobs.lines("one")) == ["started"]
    asyncio.run(jobs.cancel("one"))


async def test_a_succeeded_job_is_not_run_again_and_a_failed_one_is(
    jobs: ProcessJobs, tmp_path: Path
) -> None:
    assert jobs.start("fine", python("print(1)"))
    await events(jobs, "fine")
    assert not jobs.start("fine", python("print(1)"))

    flag = tmp_path / "flag"
    code = (
        f"import pathlib; f = pathlib.Path({str(flag)!r}); e = f.exists(); f.touch(); raise SystemExit(not e)"
    )
    assert jobs.start("once", python(code))
    assert isinstance(end := (await events(jobs, "once"))[-1], Status) and end.state == "failed"
    assert jobs.start("once", python(code))
    told = await events(jobs, "once")
    assert [event.state for event in told if isinstance(event, Status)] == ["preparing", "succeeded"]


async def test_a_job_that_is_starting_again_is_running_and_cannot_be_removed(
    jobs: ProcessJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.start("one", python(WAIT))
    pid = jobs.pid("one")
    await jobs.cancel("one")
    others, launch = ProcessJobs(jobs.directory), ProcessJobs._launch
    seen: list[object] = []
    refused: list[BackendError] = []

    def remove() -> None:
        try:
            others.remove("one")
        except BackendError as error:
            refused.append(error)

    removing = threading.Thread(target=remove)

    def look_then_launch(self: ProcessJobs, folder: Path, env: Mapping[str, str]) -> None:
        seen.extend((others.status("one").state, others.pid("one")))
        removing.start()
        removing.join(0.2)
        launch(self, folder, env)

    monkeypatch.setattr(ProcessJobs, "_launch", look_then_launch)
    assert await asyncio.to_thread(jobs.start, "one", python(WAIT))
    removing.join()
    assert seen == ["running", None]
    assert [error.message for error in refused] == ["The job 'one' is running."]
    assert jobs.pid("one") not in (None, pid)
    await jobs.cancel("one")


async def test_who_cancels_a_job_that_is_starting_ends_it(
    jobs: ProcessJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.start("one", python("raise SystemExit(1)"))
    await events(jobs, "one")
    launch = ProcessJobs._launch
    cancelling = threading.Thread(target=lambda: asyncio.run(ProcessJobs(jobs.directory).cancel("one")))

    def cancel_then_launch(self: ProcessJobs, folder: Path, env: Mapping[str, str]) -> None:
        cancelling.start()
        cancelling.join(0.2)
        launch(self, folder, env)

    monkeypatch.setattr(ProcessJobs, "_launch", cancel_then_launch)
    assert await asyncio.to_thread(jobs.start, "one", python(WAIT))
    cancelling.join()
    assert jobs.status("one").state == "cancelled"


async def test_cancel_ends_the_whole_family_and_is_idempotent(jobs: ProcessJobs) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    jobs.start("one", python(code))
    until(lambda: list(jobs.lines("one")))
    grandchild = int(next(jobs.lines("one")))
    await jobs.cancel("one")
    await jobs.cancel("one")
    assert jobs.status("one").state == "cancelled"
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie"


async def test_cancel_kills_what_does_not_listen(jobs: ProcessJobs) -> None:
    jobs.start(
        "deaf",
        python(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"),
    )
    until(lambda: list(jobs.lines("deaf")))
    await jobs.cancel("deaf", grace=0.3)
    assert jobs.status("deaf").state == "cancelled"


async def test_cancel_leaves_a_finished_job_alone(jobs: ProcessJobs) -> None:
    jobs.start("one", python("print(1)"))
    await events(jobs, "one")
    await jobs.cancel("one")
    assert jobs.status("one").state == "succeeded"


async def test_a_killed_command_is_a_failure_with_its_reason(jobs: ProcessJobs) -> None:
    jobs.start("one", python(WAIT))
    pid = jobs.pid("one")
    assert pid
    psutil.Process(pid).kill()
    end = (await events(jobs, "one"))[-1]
    assert isinstance(end, Status) and end.state == "failed"
    assert "SIGKILL" in end.detail


async def test_what_runs_is_seen_on_a_disk_that_cannot_be_written(
    jobs: ProcessJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.start("runs", python(WAIT))
    jobs.start("died", python(WAIT))
    died = psutil.Process(jobs.pid("died"))
    for process in (died.parent(), died):
        assert process is not None
        process.kill()
    until(lambda: jobs.status("died").finished)
    opened, refusal = Path.open, [errno.EROFS]

    def read_only(path: Path, mode: str = "r", *args: Any, **named: Any) -> Any:
        if refusal[0] == errno.EACCES and path.name == _supervise.ALIVE:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        if set(mode) & set("wax+"):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, mode, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", read_only)
        assert jobs.status("runs").state == "running"
        assert jobs.status("died").state == "failed"
        refusal[0] = errno.EACCES
        with pytest.raises(BackendError, match="Whether 'runs' is alive cannot be seen"):
            jobs.status("runs")
    await jobs.cancel("runs")
    assert jobs.status("runs").state == "cancelled"


async def test_a_killed_supervisor_leaves_the_command_alive_and_cancellable(jobs: ProcessJobs) -> None:
    jobs.start("one", python(WAIT))
    pid = jobs.pid("one")
    assert pid
    supervisor = psutil.Process(pid).parent()
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait(5)
    assert jobs.status("one").state == "running"
    await jobs.cancel("one")
    assert jobs.status("one").state == "cancelled"


async def test_a_machine_that_restarted_is_a_failure_not_a_running_job(jobs: ProcessJobs) -> None:
    jobs.start("one", python(WAIT))
    pid = jobs.pid("one")
    assert pid
    for process in (psutil.Process(pid).parent(), psutil.Process(pid)):
        assert process is not None
        process.kill()
    until(lambda: jobs.status("one").finished)
    assert jobs.status("one").state == "failed"


async def test_a_command_that_is_not_there(jobs: ProcessJobs) -> None:
    jobs.start("one", ["/no/such/command"])
    end = (await events(jobs, "one"))[-1]
    assert isinstance(end, Status) and end.state == "failed" and "No such file" in end.detail


async def test_what_a_progress_bar_overwrote_is_not_told(jobs: ProcessJobs) -> None:
    jobs.start("one", python("import sys; sys.stdout.write('10%\\r50%\\r100%\\nlast')"))
    told = await events(jobs, "one")
    assert [event.line for event in told if isinstance(event, Log)] == ["100%", "last"]


async def test_unknown_jobs_and_bad_names(jobs: ProcessJobs) -> None:
    with pytest.raises(NotFoundError):
        await events(jobs, "nobody")
    with pytest.raises(NotFoundError):
        await jobs.cancel("../nobody")
    with pytest.raises(BackendError):
        jobs.start("../out", python(WAIT))


async def test_the_environment_is_given_and_not_stored(jobs: ProcessJobs) -> None:
    jobs.start("one", python("import os; print(os.environ['SECRET'][::-1])"), env={"SECRET": "marmalade"})
    assert [event.line for event in await events(jobs, "one") if isinstance(event, Log)] == ["edalamram"]
    assert not [
        path for path in jobs.directory.rglob("*") if path.is_file() and b"marmalade" in path.read_bytes()
    ]


async def test_remove_forgets_a_finished_job_and_refuses_a_running_one(jobs: ProcessJobs) -> None:
    jobs.start("one", python(WAIT))
    with pytest.raises(BackendError):
        jobs.remove("one")
    await jobs.cancel("one")
    jobs.remove("one")
    jobs.remove("one")
    assert jobs.names() == []


def test_windows_jobs_are_detached_by_creation_flags() -> None:
    assert _supervise.detached("win32") == {"creationflags": 0x00000208}
    assert _supervise.detached("linux") == {"start_new_session": True}


def test_windows_lets_nobody_replace_a_file_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refusals = Path.replace, [PermissionError(13, "in use"), PermissionError(13, "in use")]

    def refuse_at_first(self: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_at_first)
    (tmp_path / _supervise.END).touch()
    _supervise._write_end(tmp_path, {"attempt": 1, "code": 0, "detail": ""})
    assert json.loads((tmp_path / "exit.json").read_text("utf-8"))["code"] == 0


async def test_windows_lets_nobody_read_a_file_that_is_replaced(
    jobs: ProcessJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.start("one", python(WAIT))
    read = Path.read_text

    def refuse(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if self.name == "exit.json":
            raise PermissionError(13, "in use")
        return read(self, encoding, errors)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        assert jobs.status("one").state == "running"
    await jobs.cancel("one")


def test_job_files_are_complete_or_absent(jobs: ProcessJobs) -> None:
    jobs.start("one", python("print(1)"))
    until(lambda: jobs.status("one").finished)
    for path in jobs.directory.glob("one/*.json"):
        json.loads(path.read_text())
    assert not list(jobs.directory.glob("one/*.tmp"))
