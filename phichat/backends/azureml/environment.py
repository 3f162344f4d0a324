"""The environment of jobs: an image of Microsoft, and the packages of `trainer/conda.yaml`, by their hash."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from phichat.backends.azureml.workspace import Workspace
from phichat.paths import bundled

NAME = "phichat-train"
API = "2023-04-01-preview"
GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi5.0-cuda12.4-ubuntu22.04:20260901.v1"
CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi5.0-ubuntu24.04:20260901.v1"
"""With a date: what is built once stays what it was. PyTorch brings its own CUDA."""
GPUS = {
    "standard_nc48ads_a100_v4": 2,
    "standard_nc96ads_a100_v4": 4,
    "standard_nd96asr_v4": 8,
    "standard_nd96amsr_a100_v4": 8,
    "standard_nc80adis_h100_v5": 2,
    "standard_nd96isr_h100_v5": 8,
}
"""Of the sizes with more than one."""


class Environment(NamedTuple):
    """An image, and what is installed into it."""

    image: str
    conda: str

    @property
    def version(self) -> str:
        """The same content has the same version, so that no image is built twice."""
        return hashlib.sha256(f"{self.image}\n{self.conda}".encode()).hexdigest()[:16]

    @property
    def path(self) -> str:
        """Where it is, below the workspace."""
        return f"environments/{NAME}/versions/{self.version}"

    @property
    def label(self) -> str:
        """What people read."""
        return f"{NAME}:{self.version}"


def environment_for(size: str) -> Environment:
    """The environment for a machine size."""
    conda = (bundled("trainer") / "conda.yaml").read_text(encoding="utf-8")
    return Environment(GPU_IMAGE if has_gpu(size) else CPU_IMAGE, conda)


def has_gpu(size: str) -> bool:
    """Whether a machine size has a GPU: Azure names those N."""
    return re.match(r"standard_n[cdgv]", size, re.IGNORECASE) is not None


def gpus(size: str) -> int:
    """How many GPUs a machine has."""
    return GPUS.get(size.lower(), 1) if has_gpu(size) else 0


async def there(workspace: Workspace, environment: Environment) -> bool:
    """Whether the workspace has it."""
    doing = f"look up the environment {environment.label}"
    return await workspace.find(environment.path, API, doing) is not None


async def make(workspace: Workspace, environment: Environment) -> None:
    """Register it; its image is built when the first job needs it."""
    properties = {
        "image": environment.image,
        "condaFile": environment.conda,
        "isAnonymous": False,
        "isArchived": False,
        "description": "What trains a model.",
        "tags": {"phichat": workspace.account.project},
    }
    doing = f"register the environment {environment.label}"
    await workspace.put(environment.path, API, {"properties": properties}, doing)
