"""A machine of a cluster: runs a job's command with its code, inputs, outputs and environment."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.azure.standin import forker

Play = Callable[[Path], int | None]
"""Instead of a command: writes to the log it is given, and says the exit code, or None while it runs."""


class Node:
    """One try of one command."""

    def __init__(
        self,
        folder: Path,
        mounts: Mapping[str, Path | str],
        properties: Mapping[str, Any],
        log: Path,
        play: Play | None,
    ) -> None:
        self._play, self._log, self._asked = play, log, False
        self._pids = folder / "pids"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        if play is None:
            self._process = self._start(folder, mounts, properties)

    def code(self) -> int | None:
        """The exit code, or None while it runs."""
        if self._play is not None:
            return 143 if self._asked else self._play(self._log)
        try:
            # A look is a long time on a cluster: much happens between two.
            return self._process.wait(0.05)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Ask it to end."""
        self._asked = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        if self._play is None:
            self._process.wait(10)

    def _start(
        self, folder: Path, mounts: Mapping[str, Path | str], properties: Mapping[str, Any]
    ) -> subprocess.Popen[bytes]:
        work = folder / "wd"
        shutil.copytree(mounts["code"], work)
        command = re.sub(
            r"\$\{\{([^}]+)\}\}", lambda found: str(mounts[found[1].strip()]), properties["command"]
        )
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["bash", "-c", command],
                cwd=work,
                env=self._environment(mounts, properties),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, mounts: Mapping[str, Path | str], properties: Mapping[str, Any]) -> dict[str, str]:
        """What the command sees: nothing of this machine's but what a process needs."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        told = {
            f"AZURE_ML_{kind}_{name}": str(value)
            for key, value in mounts.items()
            for kind, _, name in [
                key.replace("inputs.", "INPUT.").replace("outputs.", "OUTPUT.").partition(".")
            ]
            if name
        }
        offline = {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(self._pids.parent / "hf"),
            "HOME": str(self._pids.parent),
        }
        kept["PATH"] = f"{forker.shim()}{os.pathsep}{kept.get('PATH', '')}"
        kept |= {"PHICHAT_NODE_PIDS": str(self._pids), "OMP_NUM_THREADS": "1"}
        return {**kept, **offline, **told, **(properties.get("environmentVariables") or {})}

    def _signal(self, number: signal.Signals) -> None:
        if self._play is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        for pid in self._pids.read_text().split() if self._pids.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)
