"""The environment that Prompt flow has to itself: its frozen dependencies would hold back everything else."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from phichat.backends.base import Report
from phichat.backends.locks import locked
from phichat.errors import BackendError, ConfigError, UnavailableError
from phichat.events import Progress, Step
from phichat.flowrunner.running import last_words, run
from phichat.models.package import CHECK_NETWORK, unreachable
from phichat.paths import bundled, environment_python, write_atomic

READY = "ready"
"""The file that is written last: without it, whatever there is was left half made."""


class Environment:
    """A virtual environment in the person's cache, shared by all projects; other pins are another one."""

    def __init__(self, cache: Path, requirements: Path | None = None) -> None:
        self.requirements = requirements or bundled("flows") / "requirements.txt"
        pins = hashlib.sha256(self.requirements.read_bytes()).hexdigest()[:12]
        python = f"py{sys.version_info.major}{sys.version_info.minor}"
        self.folder = cache / "environments" / f"promptflow-{pins}-{python}"

    @property
    def ready(self) -> bool:
        """Whether Prompt flow can run."""
        return (self.folder / READY).exists()

    @property
    def python(self) -> Path:
        """Its interpreter.

        Raises:
            ConfigError: it is not set up.
        """
        if not self.ready:
            hint = "phichat flow setup; or without it, with the same contract: --engine plain"
            raise ConfigError("Prompt flow is not set up on this machine.", hint)
        return environment_python(self.folder)

    async def setup(self, report: Report) -> None:
        """Make it, if it is not there; with the person's own pip configuration, about 400 MB.

        Raises:
            BackendError: it cannot be made; the last line of pip says why.
            UnavailableError: there is no way to the package index.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        async with locked(self.folder.with_suffix(".lock")):
            if self.ready:
                report(Step(name="Prompt flow", state="reused", detail=str(self.folder)))
                return
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
            report(Step(name="environment", state="running", detail=str(self.folder)))
            await self._run([sys.executable, "-m", "venv", str(self.folder)])
            report(Step(name="environment", state="done", detail=str(self.folder)))
            await self._install(report)
            write_atomic(self.folder / READY, self.requirements.read_text(encoding="utf-8"))

    async def _install(self, report: Report) -> None:
        report(Step(name="Prompt flow", state="running", detail="about 100 packages"))
        python = str(environment_python(self.folder))
        command = [python, "-m", "pip", "install", "--progress-bar", "off", "-r", str(self.requirements)]
        try:
            await self._run(command, lambda: self._tell(report))
        except BackendError:
            report(Step(name="Prompt flow", state="failed"))
            raise
        report(Step(name="Prompt flow", state="done", detail=str(self.folder)))

    async def _run(self, command: list[str], look: Callable[[], None] | None = None) -> None:
        log = self._log
        try:
            code = await run(command, log, look=look)
        except OSError as error:
            raise BackendError(f"{command[0]} cannot be started: {error}.") from error
        if code != 0:
            raise _failure(log)

    def _tell(self, report: Report) -> None:
        """How many packages pip has come to; what it installs in the end takes a part of the time too."""
        said = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        pins = self.requirements.read_text(encoding="utf-8").splitlines()
        wanted = sum(1 for line in pins if line and not line.startswith("#"))
        found = sum(1 for line in said if line.startswith("Collecting "))
        report(Progress(what="Prompt flow", done=min(found, wanted), total=wanted, unit="packages"))

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".log")


def _failure(log: Path) -> BackendError:
    """Why a command failed; of a network that is not there pip says in the end that it found nothing."""
    told = "Prompt flow's environment could not be made: "
    if unreachable(log.read_text(encoding="utf-8", errors="replace")):
        hint = f"{CHECK_NETWORK}, then: phichat flow setup"
        return UnavailableError(f"{told}the package index cannot be reached.", hint)
    return BackendError(told + last_words(log), f"All of it is in {log}; then: phichat flow setup")
