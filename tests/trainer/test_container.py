"""The container of deployments: what serving needs, in the releases that the tests pass with."""

from __future__ import annotations

import json
import re
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from serve import parse_arguments
from tests.trainer.test_conda import TRAINER, constraints

LEFT_OUT = ("nvidia-", "cuda-", "triton", "setuptools")
"""What PyTorch brings for a GPU."""


def packages() -> dict[str, str]:
    lines = (TRAINER / "serve-requirements.txt").read_text(encoding="utf-8").splitlines()
    found = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in found}


def test_the_container_has_the_packages_that_the_tests_pass_with() -> None:
    ours = constraints()
    assert packages().items() <= ours.items()


def test_what_its_packages_need_is_pinned_too() -> None:
    pinned, environment = packages(), {"sys_platform": "linux", "platform_system": "Linux", "extra": ""}
    missing = {
        f"{name} needs {requirement.name}"
        for name in pinned
        for requirement in map(Requirement, metadata.requires(name) or [])
        if not requirement.name.startswith(LEFT_OUT)
        if requirement.marker is None or requirement.marker.evaluate(environment)
        if canonicalize_name(requirement.name) not in pinned
    }
    assert not missing


def test_its_command_serves_at_the_port_that_azure_asks() -> None:
    from phichat.backends.azureml import container

    text = (TRAINER / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    python, script, *rest = json.loads(found[1])
    assert (python, script) == ("python", "serve.py")
    arguments = parse_arguments(rest, {"AZUREML_MODEL_DIR": "/a-model"})
    assert (arguments.host, arguments.port, arguments.key) == ("0.0.0.0", container.PORT, "")
    assert str(arguments.model) == "/a-model"
