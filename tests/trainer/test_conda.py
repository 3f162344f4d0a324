"""The environment of jobs on Azure: the packages that the tests pass with, and versions that go together."""

from __future__ import annotations

import ast
import re
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

TRAINER = ROOT / "trainer"
OTHERS = {"mlflow-skinny", "azure-storage-blob", "pytz"}
"""Packages that azureml-mlflow holds back."""
CAPS = ("mlflow-skinny<=3.15.0", "azure-storage-blob<=12.27.1,>=12.5.0", "azure-core!=1.22.0", "jsonpickle")
"""What azureml-mlflow 1.62.0.post6 asks for, as PyPI has it; it is not installed where the tests run."""
SERVING = {"starlette", "uvicorn"}
"""Packages of the modules that only serve."""


def pins() -> dict[str, str]:
    text = (TRAINER / "conda.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^ {6}- (\S+)==(\S+)$", text, re.MULTILINE))


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in found}


def test_jobs_have_the_packages_that_the_tests_pass_with() -> None:
    ours = constraints()
    other = {name for name, version in pins().items() if ours.get(name, version) != version}
    assert other == OTHERS


def test_every_version_suits_every_other() -> None:
    wanted = pins()
    asked = [("azureml-mlflow", Requirement(cap)) for cap in CAPS]
    for name in wanted.keys() & constraints().keys() - OTHERS:
        asked += [(name, Requirement(each)) for each in metadata.requires(name) or []]
    environment = {"platform_system": "Linux", "sys_platform": "linux", "extra": ""}
    for name, requirement in asked:
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        version = wanted.get(canonicalize_name(requirement.name))
        # What a GPU needs besides comes with PyTorch, from wherever it is installed.
        if version is None and (
            requirement.name.startswith(("nvidia-", "cuda-", "triton")) or name == "torch"
        ):
            continue
        assert version is not None, f"{name} needs {requirement}, which is not there"
        assert requirement.specifier.contains(version, prereleases=True), f"{name} needs {requirement}"


def test_what_the_trainer_imports_is_there() -> None:
    own = {path.stem for path in TRAINER.glob("*.py")} | set(sys.stdlib_module_names)
    used = {name for path in TRAINER.glob("*.py") for name in imports(path.read_text(encoding="utf-8"))}
    offered = metadata.packages_distributions()
    for name in used - own - SERVING:
        names = {canonicalize_name(each) for each in offered.get(name, [name])} | {f"{name}-skinny"}
        assert names & pins().keys(), f"trainer/ imports {name}, which jobs on Azure do not have"


def test_every_pin_is_one_version() -> None:
    for name, version in pins().items():
        assert re.fullmatch(r"[a-z0-9-]+", name) and re.fullmatch(r"[0-9a-z.]+", version)


def imports(source: str) -> set[str]:
    """Top-level names, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
