"""Installs packages for a test: the folders that an installer would make, and the import path to them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

EXAMPLE = Path(__file__).parent / "phichat-markov"


def write_metadata(site: Path, package: str, entry_points: Mapping[str, str], version: str = "1.0") -> None:
    """Write what says that a package of that name is installed and which backends it offers."""
    folder = site / f"{package.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = [f"{name} = {value}\n" for name, value in entry_points.items()]
    (folder / "entry_points.txt").write_text("".join(["[phichat]\n", *lines]), encoding="utf-8")
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")


def write_example_metadata(site: Path) -> None:
    """Write what says that the example is installed, out of its own pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    write_metadata(site, project["name"], project["entry-points"]["phichat"], project["version"])
