"""What the tests of deployments on Azure share: models that look trained, and containers that are played."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import DeploySpec, Job
from tests.azure.standin.cloud import Cloud
from tests.azure.standin.others import Theirs
from tests.azure.standin.services import endpoints
from tests.azure.standin.services.endpoints import Live
from tests.azure.standin.services.workspaces import ACCOUNT, CONTAINER
from tests.azure.standin.wire import Request, Response, answer
from tests.azure.training import ignore, line, play, spec_of, watched

FACTS = {
    "base_model": "phi-3-mini",
    "data": {"fingerprint": "a-fingerprint"},
    "template_sha256": "a-template",
    "training": {"eval_loss": 1.25, "steps": 4},
}


async def trained(
    cloud: Cloud, backend: AzureMLBackend, folder: Path, model: Path, name: str = "first"
) -> Job:
    """A job that says it succeeded, and the model that it would have made."""
    cloud.jobs.play = play(line("status", state="succeeded"))
    job = await backend.submit(spec_of(folder, name), ignore)
    await watched(backend, job)
    made = cloud.blobs.place(ACCOUNT, CONTAINER, f"phichat/runs/{name}/model")
    shutil.copytree(model, made)
    (made / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    (made / "phichat.json").write_text(json.dumps(FACTS), encoding="utf-8")
    return job


class Played(Theirs):
    """A container that is ready at once, has nothing to say, and answers every question with a word."""

    lines = ""

    def __init__(self, *_: Path) -> None:
        """Whatever its image and model are."""

    def answered(self, request: Request) -> Response:
        choice: dict[str, Any] = {"message": {"content": "Yes."}, "finish_reason": "stop"}
        return answer({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})


def play_containers(patch: pytest.MonkeyPatch) -> None:
    """Run no container of ours."""
    patch.setattr(endpoints, "Container", Played)


def spec(job: Job, name: str = "chat", **chosen: object) -> DeploySpec:
    return DeploySpec.model_validate({"name": name, "model": job, **chosen})


def only(cloud: Cloud) -> tuple[dict[str, Live], dict[str, int]]:
    """The deployments of the only endpoint, and their shares of its requests."""
    (endpoint,) = cloud.endpoints.found.values()
    traffic = endpoint.body["properties"].get("traffic", {})
    return endpoint.deployments, {name: share for name, share in traffic.items() if share}
