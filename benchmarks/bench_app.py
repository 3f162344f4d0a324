"""What the application costs: `python benchmarks/bench_app.py [--rounds N] [--tokens N]`.

Everything runs in a real pseudo-terminal of 120 × 40, against a backend that follows a script, so that no
model takes the processor. The first frame is compared with that of a hello-world Textual application,
interleaved in the same run; the rows marked "control" say how much the machine itself makes a difference.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from phichat.paths import Folders
from phichat.workflow.beginning import remember

HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("Hello, World!")
Hello().run()
"""
PHICHAT = [sys.executable, "-m", "phichat"]
INSIDE = Path(__file__).with_name("app_inside.py")
TRAINING_S = 20
KINDS = ("idle, control", "prose", "fence", "list", "table")


class Terminal:
    """A program in a pseudo-terminal, what it wrote, and when."""

    def __init__(self, command: Sequence[str], environ: dict[str, str]) -> None:
        self.started = time.perf_counter()
        self.written = b""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execve(command[0], list(command), {**os.environ, "TERM": "xterm-256color", **environ})
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def until(self, marker: bytes, seconds: float = 60) -> float:
        """Read until something is written; the milliseconds that took, from the start of the program."""
        deadline = time.perf_counter() + seconds
        while marker not in self.written:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{marker!r} was not written within {seconds} s.")
            self.read(0.1)
        return (time.perf_counter() - self.started) * 1e3

    def read(self, seconds: float) -> None:
        """Read what there is; wait a while for it."""
        if select.select([self.file], [], [], seconds)[0]:
            try:
                self.written += os.read(self.file, 1 << 16)
            except OSError:
                raise EOFError("The program has ended.") from None

    def drain(self, seconds: float) -> None:
        """Read for a while."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            self.read(0.05)

    def press(self, keys: bytes) -> None:
        """Type."""
        self.written = b""
        self.started = time.perf_counter()
        os.write(self.file, keys)

    def cpu(self) -> float:
        """Milliseconds of processor time used so far, all threads together."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e6

    def end(self) -> None:
        """End the program and wait for that."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.file)

    def wait(self) -> None:
        """Read until the program ends by itself."""
        try:
            while True:
                self.read(60)
        except EOFError:
            os.waitpid(self.pid, 0)
            os.close(self.file)


def first_frames(rounds: int, home: str) -> None:
    """Time to the first frame, and to the first key's echo, beside hello world."""
    # The cursor stands on the first letter of the placeholder.
    application = (PHICHAT, b"sk something")
    hello = ([sys.executable, "-c", HELLO], b"Hello, World!")
    programs = {"hello world": hello, "hello world, control": hello, "phichat": application}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    echoes = []
    for turn in range(rounds + 1):
        for name, (command, marker) in programs.items():
            terminal = Terminal(command, {"PHICHAT_HOME": home})
            sample = (terminal.until(marker), terminal.cpu())
            if name == "phichat":
                terminal.press(b"Q")
                echoes.append(terminal.until(b"Q"))
            terminal.end()
            if turn:  # the first fills the disk cache
                taken[name].append(sample)
    print(f"\n{'first frame':32}{'wall ms':>9}{'CPU ms':>9}{'wall ×':>9}{'CPU ×':>9}")
    floor = [statistics.median(values) for values in zip(*taken["hello world"], strict=True)]
    for name, samples in taken.items():
        wall, cpu = (statistics.median(values) for values in zip(*samples, strict=True))
        print(f"{name:32}{wall:9.0f}{cpu:9.0f}{wall / floor[0]:9.2f}{cpu / floor[1]:9.2f}")
    print(f"{'echo of a key typed right then':32}{statistics.median(echoes[1:]):9.0f}")


def idle(home: str) -> None:
    """Processor time of an application that nobody uses; Textual looks for keys ten times a second."""
    print(f"\n{'idle for 10 s':32}{'':9}{'CPU ms':>9}")
    hello = ([sys.executable, "-c", HELLO], b"Hello, World!")
    for name, (command, marker) in {"hello world, control": hello, "phichat": (PHICHAT, b"Not now")}.items():
        terminal = Terminal(command, {"PHICHAT_HOME": home})
        terminal.until(marker)
        terminal.drain(5)
        before = terminal.cpu()
        terminal.drain(10)
        print(f"{name:32}{'':9}{terminal.cpu() - before:9.1f}")
        terminal.end()


def streams(tokens: int, home: str) -> None:
    """How late the event loop is while an answer streams, and how fast Escape ends it."""
    header = f"{tokens} tokens, 50 a second"
    print(f"\n{header:32}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}{'CPU s':>9}{'Esc ms':>9}")
    for kind in KINDS:
        result = Path(home, "result.json")
        terminal = Terminal(
            [sys.executable, str(INSIDE), kind, str(tokens), str(result)],
            {"PHICHAT_HOME": f"{home}/{kind}"},
        )
        terminal.until(b"ready")
        terminal.drain(tokens / 50 * 0.9)
        # As terminals with the kitty protocol send it; others add 100 ms, to tell Escape from Alt.
        terminal.press(b"\x1b[27u")
        stopped = "" if kind.startswith("idle") else f"{terminal.until(b'stopped'):9.0f}"
        terminal.drain(tokens / 50 * 0.1 + 2)
        os.write(terminal.file, b"\x11")
        terminal.wait()
        lags, cpu = json.loads(result.read_text(encoding="utf-8"))
        p95 = statistics.quantiles(lags, n=20)[-1]
        print(f"{kind:32}{statistics.median(lags):9.1f}{p95:9.1f}{max(lags):9.1f}{cpu:9.1f}{stopped}")


def training(home: str) -> None:
    """How late the event loop is while a run is followed and every core is busy."""
    result = Path(home, "result.json")
    command = [sys.executable, str(INSIDE), "training", str(TRAINING_S), str(result)]
    Terminal(command, {"PHICHAT_HOME": f"{home}/training"}).wait()
    lags, cpu = json.loads(result.read_text(encoding="utf-8"))
    p95 = statistics.quantiles(lags, n=20)[-1]
    header = f"a run for {TRAINING_S} s, all cores busy"
    print(f"\n{header:32}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}{'CPU s':>9}")
    print(f"{'':32}{statistics.median(lags):9.1f}{p95:9.1f}{max(lags):9.1f}{cpu:9.1f}")


def long_conversation(home: str) -> None:
    """What a conversation of 500 messages costs to open, to leave for another window, and to recolour."""
    result = Path(home, "result.json")
    Terminal([sys.executable, str(INSIDE), "long", "0", str(result)], {"PHICHAT_HOME": f"{home}/long"}).wait()
    print(f"\n{'500 messages':32}{'':9}{'CPU ms':>9}")
    for name, cpu in json.loads(result.read_text(encoding="utf-8")).items():
        print(f"{name:32}{'':9}{cpu:9.0f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10, help="how often each program is started")
    parser.add_argument("--tokens", type=int, default=1000, help="how long each streamed answer is")
    args = parser.parse_args()
    # Installed programs are compiled, and that is what people start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as home:
        remember(Folders(Path(home), Path(home, "data"), Path(home)))  # as whoever was here before
        first_frames(args.rounds, home)
        idle(home)
        training(home)
        long_conversation(home)
        streams(args.tokens, home)


if __name__ == "__main__":
    main()
