"""Deployments on Azure: made without downtime, and as before when something goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import ChatOptions, Deployment, Job, Message
from phichat.errors import BackendError, NotFoundError, QuotaError
from phichat.events import Event, Log, Step
from tests.azure.places import lab_of
from tests.azure.serving import only, spec, trained
from tests.azure.standin.cloud import Cloud
from tests.azure.training import ignore

NO_QUOTA = {"code": "OutOfQuota", "message": "OutOfQuota: Not enough cluster CPU quota for Standard_E4s_v3."}


async def test_a_model_is_deployed_with_where_it_comes_from(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    planned = await backend.plan(spec(job))
    assert not cloud.made()
    events: list[Event] = []
    deployment = await backend.deploy(spec(job, ttl_hours=8), events.append)
    steps = {event.name: event.state for event in events if isinstance(event, Step)}
    assert steps == {step.name: "done" for step in planned}
    ((path, model),) = cloud.models.found.items()
    assert path.endswith("/models/first/versions/1")
    assert model["properties"]["modelType"] == "mlflow_model"
    assert model["properties"]["jobName"] == "first"
    assert model["properties"]["tags"] == {
        **{"phichat": "lab", "base_model": "phi-3-mini", "data": "a-fingerprint"},
        **{"template": "a-template", "eval_loss": "1.25", "steps": "4"},
    }
    ((name, live),) = only(cloud)[0].items()
    assert only(cloud)[1] == {name: 100}
    told = live.body["properties"]
    assert told["instanceType"] == "Standard_E4s_v3"
    assert told["requestSettings"] == {
        **{"maxConcurrentRequestsPerInstance": 3, "requestTimeout": "PT3M", "maxQueueWait": "PT2M"}
    }
    probe = {"failureThreshold": 30, "successThreshold": 1, "period": "PT1M40S", "initialDelay": "PT8M20S"}
    assert told["livenessProbe"] == told["readinessProbe"] == probe
    assert live.body["tags"]["phichat-template"] == "a-template"
    (state,) = await backend.deployments()
    assert state.deployment == deployment and state.model == "first" and state.healthy
    assert "until 20" in state.detail and state.template_sha256 == "a-template"
    assert state.made is not None and state.until == state.made + 8 * 3600
    cloud.forget()
    assert await backend.deploy(spec(job), ignore) == deployment
    assert not cloud.made(), "it is there already"


async def test_the_new_one_is_asked_what_was_held_out_before_it_gets_requests(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    await backend.deploy(spec(job), ignore)
    asked = [request for request in cloud.requests if request.path == "/score"]
    assert [each.json["messages"][0]["content"] for each in asked] == [
        *("Tell me about the sea.", "Why do people love the sea?")
    ]
    shared = [number for number, each in enumerate(cloud.requests) if '"traffic"' in each.body.decode()]
    assert shared and cloud.requests.index(asked[-1]) < shared[0]


async def test_the_one_before_is_kept_and_a_rollback_knows_it(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    old = await backend.deploy(spec(job), ignore)
    new = await backend.deploy(spec(job, "better"), ignore)
    assert not any(request.method == "DELETE" for request in cloud.requests), "never to update"
    states = {state.deployment.id: state for state in await backend.deployments()}
    assert [(states[each.id].traffic, states[each.id].previous) for each in (old, new)] == [
        *((0, True), (100, False))
    ]
    endpoint = states[old.id].endpoint
    await backend.set_traffic(endpoint, {old.id: 75, new.id: 25}, ignore)
    assert sorted(only(cloud)[1].values()) == [25, 75]
    for wrong in ({old.id: 50}, {"nobody": 100}):
        with pytest.raises(BackendError):
            await backend.set_traffic(endpoint, wrong, ignore)
    with pytest.raises(NotFoundError):
        await backend.set_traffic("elsewhere", {old.id: 100}, ignore)
    await backend.delete(old)
    assert only(cloud)[1] == {new.id.partition("/")[2]: 100}, "the others answer what the deleted one did"


async def test_traffic_can_come_in_steps(cloud: Cloud, backend: AzureMLBackend, job: Job) -> None:
    alone = spec(job, gradual=True)
    assert (await backend.plan(alone))[-1].detail.startswith("100 % to chat-"), "from nobody, in no steps"
    await backend.deploy(alone, ignore)
    better = spec(job, "better", gradual=True)
    assert (await backend.plan(better))[-1].detail.startswith("10, 50, then 100 % to better-")
    assert (await backend.plan(spec(job, "better")))[-1].detail.startswith("100 % to better-")
    cloud.forget()
    new = (await backend.deploy(better, ignore)).id.partition("/")[2]
    shares = [each.json["properties"]["traffic"] for each in cloud.requests if b'"traffic"' in each.body]
    assert [share[new] for share in shares] == [10, 50, 100]


@pytest.mark.parametrize("auth", ["key", "aml_token", "aad_token"])
async def test_an_endpoint_is_opened_with_what_was_chosen(
    cloud: Cloud, backend: AzureMLBackend, job: Job, tmp_path: Path, auth: str
) -> None:
    chosen = lab_of(tmp_path, endpoint_auth=auth)
    deployment = await chosen.deploy(spec(job), ignore)
    await chosen.aclose()
    # Whoever comes later asks the endpoint itself, whatever the settings say by then.
    access = await backend.access(deployment)
    (endpoint,) = cloud.endpoints.found.values()
    good = {"key": endpoint.keys, "aml_token": [endpoint.token], "aad_token": cloud.login.tokens}
    assert access.key in good[auth]
    message = Message(role="user", content="Hello")
    parts = [part async for part in backend.chat(deployment, [message], ChatOptions())]
    assert parts[0] == "Yes."


async def test_a_deployment_without_quota_is_removed_and_requests_go_where_they_went(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    await backend.deploy(spec(job), ignore)
    before = only(cloud)
    kept, traffic = set(before[0]), before[1]
    cloud.endpoints.failing.append(NO_QUOTA)
    events: list[Event] = []
    with pytest.raises(QuotaError, match="quota"):
        await backend.deploy(spec(job, "better"), events.append)
    assert (set(only(cloud)[0]), only(cloud)[1]) == (kept, traffic)
    last = [event for event in events if isinstance(event, Step)][-1]
    assert (last.name, last.state) == ("deployment", "failed")
    await backend.deploy(spec(job, "better"), ignore)
    assert len(only(cloud)[0]) == 2


async def test_what_an_earlier_failure_left_is_made_again(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    deployment = await backend.deploy(spec(job), ignore)
    (live,) = only(cloud)[0].values()
    await backend.set_traffic(deployment.id.partition("/")[0], {deployment.id: 100}, ignore)
    live.state = "Failed"
    assert not (await backend.deployments())[0].healthy
    assert await backend.deploy(spec(job), ignore) == deployment
    assert (await backend.deployments())[0].healthy


async def test_an_endpoint_that_was_left_behind_half_made_is_made_whole(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    cloud.endpoints.half.append({"code": "InternalServerError", "message": "Something went wrong."})
    with pytest.raises(BackendError, match="Something went wrong"):
        await backend.deploy(spec(job), ignore)
    assert only(cloud) == ({}, {})
    (left,) = [each for each in await backend.resources() if each.kind == "endpoint"]
    assert left.state == "failed", "it is seen, and `down` deletes it"
    cloud.forget()
    deployment = await backend.deploy(spec(job), ignore)
    assert [state.deployment for state in await backend.deployments()] == [deployment]
    assert not any(request.method == "DELETE" for request in cloud.requests)


async def test_the_size_may_be_a_word(cloud: Cloud, backend: AzureMLBackend, job: Job) -> None:
    await backend.deploy(spec(job, size="gpu"), ignore)
    ((_, live),) = only(cloud)[0].items()
    assert live.body["properties"]["instanceType"] == "Standard_NC24ads_A100_v4"


async def test_a_name_that_somebody_has_is_told(cloud: Cloud, backend: AzureMLBackend, job: Job) -> None:
    cloud.endpoints.taken.add("everybodys")
    with pytest.raises(BackendError, match="Somebody has taken the name already"):
        await backend.deploy(spec(job, endpoint="everybodys"), ignore)
    cloud.endpoints.taken.clear()
    with pytest.raises(BackendError, match="is no name for endpoint"):
        await backend.deploy(spec(job, endpoint="1"), ignore)
    assert not cloud.endpoints.found


async def test_what_is_not_of_the_project_is_left_alone(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    deployment = await backend.deploy(spec(job), ignore)
    (endpoint,) = cloud.endpoints.found.values()
    endpoint.body["tags"]["phichat"] = "another"
    (state,) = await backend.deployments()
    assert state.foreign and state.detail.endswith("of others")
    assert [each.kind for each in await backend.resources()] == ["cluster"]
    # It is phichat's all the same: it runs our server, so nothing has to be found out.
    message = [Message(role="user", content="Hello")]
    cloud.forget()
    assert "Yes." in [part async for part in backend.chat(deployment, message, ChatOptions())]
    assert [request.path for request in cloud.requests if request.host.startswith("phichat")] == ["/score"]
    for refused in (backend.deploy(spec(job), ignore), backend.delete(deployment)):
        with pytest.raises(BackendError, match="belongs to somebody else"):
            await refused


async def test_the_log_of_nothing_is_no_log(backend: AzureMLBackend, cloud: Cloud) -> None:
    for name in ("nowhere", "no/where"):
        with pytest.raises(NotFoundError):
            [_ async for _ in backend.logs(Deployment(id=name))]


async def test_a_container_that_ends_is_told_by_its_own_log(
    cloud: Cloud, tmp_path: Path, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    backend = lab_of(tmp_path)
    job = await trained(cloud, backend, tmp_path, tiny_phi3)
    ((config,),) = [[*cloud.blobs.folder.rglob("phichat/runs/first/model/config.json")]]
    config.unlink()
    events: list[Event] = []
    with pytest.raises(BackendError, match=r"could not serve the model: .*there is no config\.json"):
        await backend.deploy(spec(job), events.append)
    await backend.aclose()
    assert any(isinstance(event, Log) and "no config.json" in event.line for event in events)
    assert only(cloud) == ({}, {})
