"""Jobs on Azure when something goes wrong: nothing is made twice, and what happened is told plainly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import EvalSpec, Job
from phichat.errors import AuthError, BackendError, NotFoundError, QuotaError
from phichat.events import Event, Metric, Sample, Status, Step, dump
from tests.azure.places import lab_of
from tests.azure.standin.cloud import Cloud
from tests.azure.standin.faults import Fault, busy, drop_after, drop_before, instead
from tests.azure.standin.wire import error
from tests.azure.training import forever, ignore, line, play, small_trainer, spec_of, told, watched

DONE = play(
    line("status", state="preparing", detail="Reading."),
    line("metric", step=1, total=2, values={"loss": 2.0}) + b"Loading: 50%\rLoading: 100%\nhalf a ",
    b"line\n" + line("metric", step=2, total=2, values={"loss": 1.0}),
    line("status", state="succeeded", detail="The model is there."),
)
NO_QUOTA = (
    "The specified subscription has a total vCPU quota of 0 and cannot accomodate for at least 1 requested "
    "managed compute node which maps to 24 vCPUs"
)


@pytest.fixture
async def backend(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AzureMLBackend]:
    """A project in an empty workspace, whose jobs go on and on unless the test says otherwise."""
    small_trainer(tmp_path / "trainer", monkeypatch)
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    cloud.jobs.play = forever
    opened = lab_of(tmp_path)
    yield opened
    await opened.aclose()


def last(events: list[Event]) -> Status:
    finished = [event for event in events if isinstance(event, Status) and event.finished]
    assert len(finished) == 1 and events[-1] is finished[0]
    return finished[0]


async def test_a_log_that_grows_is_told_once_line_by_line(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    cloud.jobs.play = DONE
    events = await watched(backend, await backend.submit(spec_of(tmp_path), ignore))
    said = [json.loads(each) for each in told(events)]
    assert [e.get("state") or e.get("step") or e.get("line") for e in said] == [
        *("queued", "preparing", "preparing", 1, "Loading: 100%", "half a line", 2, "succeeded")
    ]
    assert last(events).detail == "The model is there."
    assert events[-2].at == 1_800_000_000.0


async def test_a_line_ends_where_the_trainer_ended_it(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    sample = dump(Sample(step=1, prompt="a\u2028b", text="c\u2029d\x85e", at=1_800_000_000.0))
    written = f"Loading: 50%\rLoading: 100%\r\n{sample}\nhalf"
    cloud.jobs.play = play(written.encode())
    job = await backend.submit(spec_of(tmp_path), ignore)
    events = await watched(backend, job)
    lines = [text async for text in backend.logs(job)]
    assert lines == ["Loading: 100%", sample, "half"]
    assert [event.text for event in events if isinstance(event, Sample)] == ["c\u2029d\x85e"]
    assert "\u2028" in sample, "JSON leaves it as it is"


@pytest.mark.parametrize("looks", [0, 3])
async def test_a_job_is_cancelled_while_it_waits_and_while_it_runs(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, looks: int
) -> None:
    job = await backend.submit(spec_of(tmp_path), ignore)
    for _ in range(looks):
        cloud.jobs.look(cloud.jobs.found["first"])
    await backend.cancel(job)
    await backend.cancel(job)
    assert last(await watched(backend, job)).state == "cancelled"
    cloud.forget()
    await backend.cancel(job)
    assert not cloud.made()


async def test_a_job_that_failed_goes_on_in_the_same_folder_by_another_name(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    cloud.jobs.play = play(
        line("metric", step=1, values={"loss": 2.0}),
        line("status", state="failed", detail="Not enough memory."),
        ends=1,
    )
    job = await backend.submit(spec_of(tmp_path), ignore)
    before = await watched(backend, job)
    assert (last(before).state, last(before).detail) == ("failed", "Not enough memory.")
    cloud.forget()
    cloud.jobs.play = DONE
    assert (await backend.submit(spec_of(tmp_path), ignore)).id == job.id
    assert [made.rpartition("/")[2] for made in cloud.made()] == ["first__2"]
    folders = {made.properties["outputs"]["run"]["uri"] for made in cloud.jobs.found.values()}
    assert folders == {"azureml://datastores/workspaceblobstore/paths/phichat/runs/first/"}
    after = await watched(backend, job)
    assert told(after)[: len(before) - 1] == told(before)[:-1]
    again = after[len(before) - 1]
    assert isinstance(again, Status) and again.detail == "Started again (attempt 2)."
    assert last(after).state == "succeeded"
    assert [event.seq for event in after] == list(range(len(after)))


async def test_an_attempt_that_is_still_stopping_is_waited_for(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phichat.backends.azureml import arm

    job = await backend.submit(spec_of(tmp_path), ignore)
    await backend.cancel(job)
    states: list[str] = []

    async def pause(seconds: float) -> None:
        states.append(cloud.jobs.look(cloud.jobs.found["first"]).status)

    monkeypatch.setattr(arm, "pause", pause)
    await backend.submit(spec_of(tmp_path), ignore)
    assert states == ["Canceled"] and list(cloud.jobs.found) == ["first", "first__2"]


async def test_another_machine_finds_the_job_by_its_name(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    job = await backend.submit(spec_of(tmp_path), ignore)
    cloud.forget()
    other = lab_of(tmp_path / "elsewhere")
    assert await other.submit(spec_of(tmp_path), ignore) == job
    await other.aclose()
    assert not cloud.made()


async def test_a_job_that_is_something_else_is_not_taken_for_ours(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    await backend.submit(spec_of(tmp_path), ignore)
    del cloud.jobs.found["first"].properties["tags"]["phichat-kind"]
    with pytest.raises(BackendError, match="another job 'first' already"):
        await backend.submit(spec_of(tmp_path), ignore)


@pytest.mark.parametrize("name", ["with space", "a__2", "a.b", ""])
async def test_a_name_that_azure_would_not_take_is_refused_before_anything_is_made(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BackendError, match="is no name for a job on Azure"):
        await backend.submit(spec_of(tmp_path, name), ignore)
    assert not cloud.requests


FAULTS: list[Any] = [busy(429), busy(500), busy(503), drop_before, drop_after]


@pytest.mark.parametrize("fault", FAULTS, ids=["429", "500", "503", "dropped before", "dropped after"])
async def test_a_fault_at_every_step_makes_nothing_twice(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, fault: Any
) -> None:
    for place in ("/environments/", "/computes/", "/codes/[^/]+/versions", "/data/[^/]+/versions", "/jobs/"):
        cloud.faults += [Fault("PUT", place, fault), Fault("GET", place, fault)]
    # A storage that is busy answers 503, and its library comes again after that alone.
    cloud.faults.append(Fault("PUT", r"train\.jsonl", busy(503) if fault is FAULTS[0] else fault))
    await backend.submit(spec_of(tmp_path), ignore)
    assert not [each for each in cloud.faults if each.method == "PUT" and each.times]
    assert list(cloud.jobs.found) == ["first"] and len(cloud.compute.found) == 1
    twice = [made for made, times in Counter(cloud.made()).items() if times > 1]
    assert len(twice) == 6, "each was asked for again, and only those that went wrong"


async def test_a_job_whose_answer_got_lost_is_found_although_its_name_is_taken(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    taken = instead(error(400, "UserError", "A job with this name already exists."))
    cloud.faults += [Fault("PUT", "/jobs/", drop_after), Fault("PUT", "/jobs/", taken)]
    job = await backend.submit(spec_of(tmp_path), ignore)
    assert job.url and list(cloud.jobs.found) == ["first"]


async def test_a_token_that_ends_in_the_middle_is_renewed(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.login, "lifetime", 60)
    monkeypatch.setattr(cloud, "after", lambda request: cloud.login.expire() if request.mutating else None)
    cloud.jobs.play = DONE
    events = await watched(backend, await backend.submit(spec_of(tmp_path), ignore))
    assert last(events).state == "succeeded"


async def test_a_sign_in_that_is_over_is_told_with_what_mends_it(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    cloud.faults.append(Fault("PUT", "/jobs/", instead(error(401, "ExpiredAuthenticationToken", "Expired."))))
    with pytest.raises(AuthError) as caught:
        await backend.submit(spec_of(tmp_path), ignore)
    assert "login" in caught.value.hint and not cloud.jobs.found
    await backend.submit(spec_of(tmp_path), ignore)
    assert list(cloud.jobs.found) == ["first"]


async def test_what_may_not_be_done_is_told_by_name(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    told = "The client does not have authorization to perform action 'Microsoft.X/jobs/write' over scope '/y'"
    cloud.faults.append(Fault("PUT", "/jobs/", instead(error(403, "AuthorizationFailed", told))))
    with pytest.raises(BackendError, match=r"You may not do Microsoft\.X/jobs/write"):
        await backend.submit(spec_of(tmp_path), ignore)
    assert not cloud.jobs.found


async def test_whoever_may_not_see_the_key_of_the_storage_uses_the_sign_in(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    refused = instead(error(403, "AuthorizationFailed", "No."))
    cloud.faults.append(Fault("POST", "/listSecrets", refused, times=9))
    await backend.submit(spec_of(tmp_path), ignore)
    blobs = [request for request in cloud.requests if request.host.startswith("phichatstorage")]
    assert blobs and all(request.bearer in cloud.login.tokens for request in blobs)


async def test_no_quota_is_told_before_any_job_is_made(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    cloud.compute.failing = NO_QUOTA
    reported: list[Event] = []
    with pytest.raises(QuotaError, match="quota for this size is 0 vCPUs, and a node needs 24"):
        await backend.submit(spec_of(tmp_path), reported.append)
    assert [e.name for e in reported if isinstance(e, Step) and e.state == "failed"] == ["cluster"]
    assert not cloud.jobs.found
    refused = instead(error(400, "BadRequest", NO_QUOTA))
    cloud.faults.append(Fault("PUT", "/computes/", refused))
    with pytest.raises(QuotaError):
        await backend.submit(spec_of(tmp_path), ignore)
    await backend.submit(spec_of(tmp_path), ignore)
    assert list(cloud.jobs.found) == ["first"]


async def test_a_cluster_of_another_size_is_not_used(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    await backend.submit(spec_of(tmp_path), ignore)
    other = lab_of(tmp_path, train_size="Standard_E16s_v3", compute="phichat-nc24ads-a100-v4")
    with pytest.raises(BackendError, match="machines of size Standard_NC24ads_A100_v4, not Standard_E16s"):
        await other.submit(spec_of(tmp_path, "second"), ignore)
    await other.aclose()


async def test_our_cluster_grows_and_changes_in_nothing_else(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    await backend.submit(spec_of(tmp_path), ignore)
    (cluster,) = cloud.compute.found.values()
    inner = cluster["properties"]["properties"]
    inner["subnet"], inner["scaleSettings"]["minNodeCount"] = {"id": "a-subnet"}, 1
    more = lab_of(tmp_path, instance_count=2)
    await more.submit(spec_of(tmp_path, "second"), ignore)
    await more.aclose()
    assert inner["subnet"] == {"id": "a-subnet"} and inner["scaleSettings"]["minNodeCount"] == 1
    assert inner["scaleSettings"]["maxNodeCount"] == 2
    assert list(cloud.compute.found.values()) == [cluster]


@pytest.mark.parametrize("tags", [{"phichat": "another"}, {}], ids=["another project", "nobody we know"])
async def test_a_cluster_of_somebody_else_is_used_as_it_is_or_not_at_all(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, tags: dict[str, str]
) -> None:
    await backend.submit(spec_of(tmp_path), ignore)
    (cluster,) = cloud.compute.found.values()
    cluster["tags"] = tags
    before = json.dumps(cluster)
    await backend.submit(spec_of(tmp_path, "second"), ignore)
    assert cloud.jobs.found["second"].properties["computeId"].endswith(cluster["name"])
    more = lab_of(tmp_path, instance_count=2)
    for refused in (more.plan(spec_of(tmp_path, "third")), more.submit(spec_of(tmp_path, "third"), ignore)):
        with pytest.raises(BackendError, match="somebody else and has at most 1 of the 2 nodes") as caught:
            await refused
        assert "backends.azureml.compute" in caught.value.hint
    await more.aclose()
    assert [json.dumps(each) for each in cloud.compute.found.values()] == [before]
    for changed, why in (({"provisioningState": "Failed"}, "failed"), ({"computeType": "VM"}, "is a VM")):
        cluster["properties"].update({"provisioningState": "Succeeded", **changed})
        cloud.forget()
        with pytest.raises(BackendError, match=f"somebody else and .*{why}"):
            await backend.submit(spec_of(tmp_path, "third"), ignore)
        assert not [made for made in cloud.made() if "/computes/" in made]


async def test_several_machines_train_together(cloud: Cloud, backend: AzureMLBackend, tmp_path: Path) -> None:
    await backend.submit(spec_of(tmp_path), ignore)
    more = lab_of(tmp_path, instance_count=2)
    await more.submit(spec_of(tmp_path, "second"), ignore)
    await more.aclose()
    cluster = next(iter(cloud.compute.found.values()))["properties"]["properties"]
    assert cluster["scaleSettings"]["minNodeCount"] == 0
    assert cluster["scaleSettings"]["maxNodeCount"] == 2
    job = cloud.jobs.found["second"].properties
    assert job["resources"]["instanceCount"] == 2
    assert job["distribution"] == {"distributionType": "PyTorch", "processCountPerInstance": 1}


async def test_the_money_bounds_the_time(cloud: Cloud, backend: AzureMLBackend, tmp_path: Path) -> None:
    await backend.submit(spec_of(tmp_path), ignore)
    limited = spec_of(tmp_path, "second").model_copy(update={"max_usd": 7.0})
    await backend.submit(limited, ignore)
    limits = [job.properties["limits"]["timeout"] for job in cloud.jobs.found.values()]
    assert limits[0] == "PT86400S"
    assert 3600 < int(limits[1].removeprefix("PT").removesuffix("S")) < 2.5 * 3600


async def test_the_money_bounds_the_time_of_an_evaluation_too(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    cloud.jobs.play = DONE
    spec = spec_of(tmp_path)
    job = await backend.submit(spec, ignore)
    await watched(backend, job)
    await backend.submit(EvalSpec(name="exam", model=job, dataset=spec.dataset, max_usd=7.0), ignore)
    limit = cloud.jobs.found["exam"].properties["limits"]["timeout"]
    assert 3600 < int(limit.removeprefix("PT").removesuffix("S")) < 2.5 * 3600


async def test_a_network_that_breaks_while_watching_is_waited_for(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the pauses between the tries of the SDK
    cloud.jobs.play = DONE
    job = await backend.submit(spec_of(tmp_path), ignore)
    cloud.faults += [Fault("GET", "/details", drop_before, times=30, skip=1)]
    cloud.faults += [Fault("GET", "std_log", drop_before, times=30, skip=1)]
    cloud.faults += [Fault("GET", "std_log", instead(error(403, "AuthenticationFailed", "Expired.")))]
    events = await watched(backend, job)
    assert last(events).state == "succeeded"
    assert [e.step for e in events if isinstance(e, Metric)] == [1, 2]


@pytest.mark.parametrize(
    ("code", "message", "plain"),
    [
        (
            "JobFailed",
            "The node was preempted by the platform.",
            "Azure took the machine away. phichat train",
        ),
        (
            "ImageBuildFailure",
            "Image build failed.",
            "The image of the job's environment could not be built.",
        ),
        (
            "UserError",
            "AzureMLCompute: something new. sig=abcdefgh",
            "UserError AzureMLCompute: something new.",
        ),
    ],
)
async def test_why_a_job_failed_is_told_in_plain_words(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, code: str, message: str, plain: str
) -> None:
    job = await backend.submit(spec_of(tmp_path), ignore)
    cloud.jobs.fail("first", code, message)
    status = last(await watched(backend, job))
    assert status.state == "failed" and status.detail.startswith(plain)


async def test_a_model_that_is_not_there_yet_is_not_found(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    job = await backend.submit(spec_of(tmp_path), ignore)
    with pytest.raises(NotFoundError, match="has made no model yet"):
        await backend.fetch(job, tmp_path / "model", ignore)
    spec = spec_of(tmp_path)
    exam = EvalSpec(name="exam", model=job, dataset=spec.dataset)
    with pytest.raises(NotFoundError, match="has made no model yet"):
        await backend.submit(exam, ignore)
    with pytest.raises(NotFoundError, match="There is no job 'other'"):
        await watched(backend, Job(id="other"))


async def test_without_a_workspace_the_next_command_is_named(
    cloud: Cloud, backend: AzureMLBackend, tmp_path: Path
) -> None:
    cloud.workspaces.found.clear()
    cloud.resources.all.clear()
    with pytest.raises(NotFoundError) as caught:
        await backend.submit(spec_of(tmp_path), ignore)
    assert caught.value.hint.startswith("phichat provision")
