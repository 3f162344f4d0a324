"""Whatever goes wrong: one sentence, a hint, the right exit code, and never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phichat.cli.guard import guarded
from phichat.config import secret
from phichat.errors import BackendError, ConfigError, PhichatError
from tests.cli.conftest import Run


def raising(error: BaseException) -> int:
    def run() -> int:
        raise error

    return guarded(run)


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("x"), 2), (BackendError("x"), 1), (KeyboardInterrupt(), 130), (SystemExit(0), 0)],
)
def test_each_end_has_its_exit_code(error: BaseException, code: int) -> None:
    assert raising(error) == code


def test_an_error_is_one_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    raising(PhichatError("It broke.", "phichat mend"))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "phichat: It broke.\n  phichat mend\n")


def test_the_traceback_goes_into_a_file(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    log = home / "phichat" / "data" / "crash.log"
    assert raising(KeyError("oops")) == 1
    said = capsys.readouterr().err
    assert said == f"phichat: This should not have happened: KeyError: 'oops'.\n  The details are in {log}\n"
    assert "Traceback (most recent call last)" in log.read_text(encoding="utf-8")
    if os.name == "posix":
        assert log.stat().st_mode & 0o077 == 0, "a traceback is nobody else's business"


def test_a_traceback_that_cannot_be_written_does_not_hide_the_error(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    home.write_text("a file where the folder should be", encoding="utf-8")
    assert raising(KeyError("oops")) == 1
    assert capsys.readouterr().err == "phichat: This should not have happened: KeyError: 'oops'.\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "/data/x"),
            "The disk is full: there is no room for /data/x.",
        ),
        (OSError(errno.ENOSPC, "No space left"), "The disk is full: there is no room."),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x is not yours to read or write"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x cannot be written: Read-only file system."),
        (OSError(errno.EROFS, "Read-only", "/data/.chosen.json.15-7.tmp"), "/data cannot be written: "),
        (OSError(errno.EACCES, "Denied", "/locks/smollm2.lock"), "/locks is not yours to read or write: "),
        (OSError(errno.ENOSPC, "Full", b"/d/.x.tmp"), "The disk is full: there is no room for /d."),
    ],
)
def test_what_is_wrong_with_the_disk_is_no_mistake_of_ours(
    error: OSError, told: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert raising(error) == 1
    assert capsys.readouterr().err.startswith(f"phichat: {told}")
    assert not home.exists(), "there is no traceback to write"


def test_a_project_that_cannot_keep_its_state_says_so(phichat: Run, folder: Path) -> None:
    phichat("init")
    (folder / ".phichat").write_text("a file where the folder should be", encoding="utf-8")
    done = phichat("status")
    assert (done.code, done.out) == (2, "")
    assert f"{folder / '.phichat'} cannot be written: File exists." in done.err


def test_secrets_are_masked_everywhere(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    secret.remember("open-sesame")
    raising(BackendError("The key open-sesame is wrong.", "Not open-sesame!"))
    raising(RuntimeError("open-sesame"))
    assert "open-sesame" not in capsys.readouterr().err
    assert "open-sesame" not in (home / "phichat" / "data" / "crash.log").read_text(encoding="utf-8")


@pytest.mark.usefixtures("project")
def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    command = [sys.executable, "-m", "phichat", "chat", "-p", "forever"]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        assert started.stdout.read(8) == b"forever!"
        started.stdout.close()
        assert started.wait(30) == 0
        assert started.stderr.read() == b""


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_130_and_keeps_what_was_said(folder: Path, order: signal.Signals) -> None:
    command = [sys.executable, "-m", "phichat", "chat", "-p", "forever"]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        assert started.stdout.read(8) == b"forever!"
        started.send_signal(order)
        assert started.wait(30) == 130
        assert b"Traceback" not in started.stderr.read()


def test_the_order_to_end_is_heard_where_ctrl_c_is_not() -> None:
    def ended() -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    deaf = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert guarded(ended) == 130
    finally:
        signal.signal(signal.SIGINT, deaf)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "it is ours while a command runs only"


def test_the_command_is_installed(process: Run) -> None:
    assert process("--version").code == 0
    assert process("chta").code == 2


def test_who_closes_standard_error_stops_nothing(folder: Path, home: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        command = [sys.executable, "-m", "phichat", "history", "list"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=theirs, check=False)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stdout) == (0, b"")
    assert not (home / "phichat" / "data" / "crash.log").exists()
