"""What is asked of Azure ML for a deployment, beside what its own SDK asks for the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential

from tests.azure.places import lab_of
from tests.azure.serving import play_containers, spec, trained
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.training import ignore, small_trainer

UNSAID = {"publicNetworkAccess", "egressPublicNetworkAccess", "scaleSettings", "jobName", "osType"}
"""What the SDK leaves to Azure's defaults, and the job, which the model's address names too."""


@pytest.fixture
async def sent(
    cloud: Cloud, tmp_path: Path, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    """The bodies that phichat sends, by what they make."""
    trainer = small_trainer(tmp_path / "trainer", monkeypatch)
    (trainer / "Dockerfile").write_text('CMD ["python"]\n', encoding="utf-8")
    play_containers(monkeypatch)
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    backend = lab_of(tmp_path)
    job = await trained(cloud, backend, tmp_path, tiny_phi3)
    cloud.forget()
    await backend.deploy(spec(job), ignore)
    await backend.aclose()
    return bodies(cloud)


@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_the_sdk_would_send_the_same(
    cloud: Cloud, sent: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import (
        BuildContext,
        Environment,
        ManagedOnlineDeployment,
        ManagedOnlineEndpoint,
        Model,
        OnlineRequestSettings,
        ProbeSettings,
    )

    monkeypatch.chdir(tmp_path)
    environment, model, deployment = sent["environments"], sent["models"], sent["deployments"]
    route = {"port": 8000, "path": "/health"}
    probe = ProbeSettings(failure_threshold=30, success_threshold=1, period=100, initial_delay=500)
    named = deployment["properties"]["environmentId"].split("/")
    endpoint, name = next(iter(cloud.endpoints.found.values())), next(iter(deployments(cloud)))
    for made in (endpoint.deployments, cloud.registered.found, cloud.models.found):
        made.clear()
    endpoint.body["properties"]["traffic"] = {}
    with DefaultAzureCredential() as credential:
        ml = MLClient(credential, SUBSCRIPTION, "phichat", "phichat", enable_telemetry=False)
        cloud.forget()
        ml.environments.create_or_update(
            Environment(
                name=named[-3],
                version=named[-1],
                build=BuildContext(
                    dockerfile_path="Dockerfile", path=environment["properties"]["build"]["contextUri"]
                ),
                inference_config={
                    "liveness_route": route,
                    "readiness_route": route,
                    "scoring_route": {"port": 8000, "path": "/score"},
                },
                description=environment["properties"]["description"],
                tags={"phichat": "lab"},
            )
        )
        ml.models.create_or_update(
            Model(
                name="first",
                version="1",
                type="mlflow_model",
                path=model["properties"]["modelUri"],
                description=model["properties"]["description"],
                tags=model["properties"]["tags"],
            )
        )
        ml.online_deployments.begin_create_or_update(
            ManagedOnlineDeployment(
                name=name,
                endpoint_name=endpoint.name,
                model=deployment["properties"]["model"],
                environment=deployment["properties"]["environmentId"],
                instance_type="Standard_E4s_v3",
                instance_count=1,
                request_settings=OnlineRequestSettings(
                    max_concurrent_requests_per_instance=3,
                    request_timeout_ms=180000,
                    max_queue_wait_ms=120000,
                ),
                liveness_probe=probe,
                readiness_probe=probe,
                tags=deployment["tags"],
            )
        ).result()
        shared = ManagedOnlineEndpoint(name=endpoint.name, auth_mode="key", tags={"phichat": "lab"})
        shared.traffic = {name: 100}
        ml.online_endpoints.begin_create_or_update(shared).result()
    theirs = bodies(cloud)
    assert set(theirs) == {"environments", "models", "deployments", "onlineEndpoints"}
    for kind, body in theirs.items():
        assert plain(body) == plain(sent[kind]), kind


def plain(body: Any) -> Any:
    """A body without what is empty, and without what one of the two leaves to defaults."""
    if not isinstance(body, dict):
        return body
    told = {name: plain(value) for name, value in body.items() if name not in UNSAID}
    return {name: value for name, value in told.items() if value not in ({}, None)}


def deployments(cloud: Cloud) -> dict[str, Any]:
    (endpoint,) = cloud.endpoints.found.values()
    return dict(endpoint.deployments)


def bodies(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """The bodies of what was put, by its kind."""
    return {
        request.path.rstrip("/").split("/")[-4 if "/versions/" in request.path else -2]: request.json
        for request in cloud.requests
        if request.method == "PUT" and request.host == "management.azure.com"
    }
