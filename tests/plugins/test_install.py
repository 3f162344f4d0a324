"""`pip install` of the example is all that it takes to have one more backend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.plugins.install import EXAMPLE


def test_pip_install_makes_it_a_backend(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="pip builds the example with it, offline")
    pytest.importorskip("pip", reason="this environment was made without it")
    # A copy: building leaves folders beside the sources.
    source = shutil.copytree(EXAMPLE, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    site = tmp_path / "site"
    run(
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        str(source),
    )
    listed = run("phichat", "backends", path=f"{site}{os.pathsep}{ROOT}")
    assert ["markov", "phichat-markov", "0.1", "Markov", "chain"] in [
        line.split() for line in listed.splitlines()
    ]


def run(module: str, *arguments: str, path: str = "") -> str:
    """Run a module of this Python, with nothing but its own packages and `path`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
