"""What is asked of Azure ML, beside what its own SDK asks for the same things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential

from tests.azure.places import lab_of
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.training import forever, ignore, small_trainer, spec_of


@pytest.fixture
async def sent(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The bodies that phichat sends to train on two machines, by what they make."""
    small_trainer(tmp_path / "trainer", monkeypatch)
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    cloud.jobs.play = forever
    backend = lab_of(tmp_path, instance_count=2)
    await backend.submit(spec_of(tmp_path), ignore)
    await backend.aclose()
    return _bodies(cloud)


@pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
def test_the_sdk_would_send_the_same(
    cloud: Cloud, sent: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from azure.ai.ml import Input, MLClient, Output, PyTorchDistribution, command
    from azure.ai.ml.entities import AmlCompute, Data, Environment

    monkeypatch.chdir(tmp_path)  # the SDK tells Azure of the git repository that it is called in
    ours = {kind: body["properties"] for kind, body in sent.items()}
    job, names = ours["jobs"], {kind: _named(cloud, kind) for kind in ("environments", "codes", "data")}
    tags = {"phichat": "lab"}
    with DefaultAzureCredential() as credential:
        ml = MLClient(credential, SUBSCRIPTION, "phichat", "phichat", enable_telemetry=False)
        cloud.forget()
        ml.environments.create_or_update(
            Environment(
                name=names["environments"][0],
                version=names["environments"][1],
                image=ours["environments"]["image"],
                conda_file={"name": "small"},
                description=ours["environments"]["description"],
                tags=tags,
            )
        )
        ml.data.create_or_update(
            Data(
                name=names["data"][0],
                version=names["data"][1],
                type="uri_folder",
                path=ours["data"]["dataUri"],
                tags=tags,
            )
        )
        cluster = AmlCompute(
            name="phichat-nc24ads-a100-v4",
            size="Standard_NC24ads_A100_v4",
            min_instances=0,
            max_instances=2,
            idle_time_before_scale_down=120,
            tier="Dedicated",
            tags=tags,
        )
        ml.compute.begin_create_or_update(cluster).result()
        cloud.jobs.found.clear()
        ml.jobs.create_or_update(
            command(
                name="first",
                display_name="first",
                experiment_name="lab",
                command=job["command"],
                code=job["codeId"],
                environment=f"azureml:{':'.join(names['environments'])}",
                compute="phichat-nc24ads-a100-v4",
                environment_variables=job["environmentVariables"],
                inputs={
                    "data": Input(
                        type="uri_folder", mode="ro_mount", path=f"azureml:{':'.join(names['data'])}"
                    )
                },
                outputs={
                    "run": Output(type="uri_folder", mode="rw_mount", path=job["outputs"]["run"]["uri"])
                },
                instance_count=2,
                shm_size="8g",
                timeout=86400,
                distribution=PyTorchDistribution(process_count_per_instance=1),
                tags=job["tags"],
            )
        )
    theirs = {kind: body["properties"] for kind, body in _bodies(cloud).items()}
    # The same time, written in two ways.
    assert (theirs["jobs"]["limits"].pop("timeout"), job["limits"].pop("timeout")) == ("P1D", "PT86400S")
    for kind, each in theirs.items():
        assert _whole(each) == _whole(ours[kind]), kind


def _bodies(cloud: Cloud) -> dict[str, dict[str, Any]]:
    found = {}
    for request in cloud.requests:
        if request.method == "PUT" and request.host == "management.azure.com":
            found[request.path.split("/workspaces/")[1].split("/")[1]] = request.json
    return found


def _named(cloud: Cloud, kind: str) -> tuple[str, str]:
    path = next(path for path in cloud.registered.found if f"/{kind}/" in path)
    name, version = path.split(f"/{kind}/")[1].split("/versions/")
    return name, version


def _whole(value: Any) -> Any:
    """A body without what says nothing: empty tables, defaults, and spellings that mean the same."""
    if not isinstance(value, dict):
        return value
    return {key: _whole(each) for key, each in value.items() if each not in (None, {}, [], "", False)}
