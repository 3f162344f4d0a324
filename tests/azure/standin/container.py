"""The container of a deployment: the command of its Dockerfile, run on the mounted model."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import httpx

from tests.azure.standin import forker


class Container:
    """One running container; its port is whichever is free, as a container's own port is its own."""

    def __init__(self, folder: Path, image: Path, model: Path) -> None:
        self.log = folder / "log"
        self._pids = folder / "pids"
        work = folder / "app"
        shutil.copytree(image, work)
        mounted = folder / "azureml-models" / "model" / "1"
        # A mount is a folder of its own: links would not be looked into.
        shutil.copytree(model, mounted / "model", copy_function=os.link)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(work / "Dockerfile"),
                cwd=work,
                env=self._environment(folder, mounted),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def lines(self) -> str:
        """What it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ready(self, route: str) -> bool:
        """Whether the readiness probe succeeds; a look waits a little, as much happens between two."""
        if self.address:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.address}{route}", trust_env=False).status_code == 200:
                    return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        return False

    @property
    def ended(self) -> bool:
        """Whether its command has ended."""
        return self._process.poll() is not None

    @property
    def address(self) -> str:
        """Where its port is on this machine; empty before it listens."""
        found = re.search(r'"uri": ?"(http://[^"]+)"', self.lines)
        return found[1] if found else ""

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pid in self._pids.read_text().split() if self._pids.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self._process.wait(10)

    def _environment(self, folder: Path, mounted: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("TMPDIR", "LANG") if name in os.environ}
        path = f"{forker.shim()}{os.pathsep}{os.environ.get('PATH', '')}"
        own = {"HOME": str(folder), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
        told = {"AZUREML_MODEL_DIR": str(mounted), "PHICHAT_NODE_PIDS": str(self._pids)}
        return {**kept, **own, **told, "PATH": path, "OMP_NUM_THREADS": "1"}


def _command(dockerfile: Path) -> list[str]:
    """The command of the image, on this machine's own address and a free port."""
    found = re.search(r"^CMD (\[.*\])$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "the Dockerfile has no CMD"
    command: list[str] = json.loads(found[1])
    for flag, value in (("--host", "127.0.0.1"), ("--port", "0")):
        command[command.index(flag) + 1] = value
    return command
