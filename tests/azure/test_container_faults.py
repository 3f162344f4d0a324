"""Containers that fail: while they start, while they get their requests, and when they had them for long."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from phichat.backends.azureml import arm
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import ChatOptions, Deployment, Job, Message
from phichat.errors import AuthError, BackendError, UnavailableError
from phichat.events import Event, Log, Step
from tests.azure.serving import Played, only, spec
from tests.azure.standin.cloud import Cloud
from tests.azure.standin.faults import Fault, drop_before, instead
from tests.azure.standin.others import SAYS, Crashing, Stuck
from tests.azure.standin.wire import Request, Response, answer
from tests.azure.training import ignore

REFUSED = instead(Response(401, b"{}"))
HELLO = [Message(role="user", content="Are you there?")]


async def asked(backend: AzureMLBackend, deployment: Deployment) -> list[object]:
    return [part async for part in backend.chat(deployment, HELLO, ChatOptions())]


async def test_one_that_never_gets_ready_is_removed_and_its_log_told(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    old = await backend.deploy(spec(job), ignore)
    before = only(cloud)
    kept, traffic = set(before[0]), before[1]
    cloud.endpoints.instead.append(Stuck())
    events: list[Event] = []
    with pytest.raises(BackendError, match="The model's server did not come up in its container") as caught:
        await backend.deploy(spec(job, "better"), events.append)
    assert caught.value.hint == "What it wrote last is told above; then: phichat deploy"
    assert Stuck.lines in [event.line for event in events if isinstance(event, Log)]
    assert [event.state for event in events if isinstance(event, Step)][-1] == "failed"
    assert (set(only(cloud)[0]), only(cloud)[1]) == (kept, traffic)
    assert "Yes." in await asked(backend, old)


async def test_the_first_one_that_never_gets_ready_leaves_nothing_that_costs(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    cloud.endpoints.instead.append(Stuck())
    with pytest.raises(BackendError):
        await backend.deploy(spec(job), ignore)
    assert only(cloud) == ({}, {}), "the endpoint itself is free"
    assert [each.kind for each in await backend.resources()] == ["endpoint", "cluster"]
    await backend.deploy(spec(job), ignore)
    assert list(only(cloud)[1].values()) == [100]


async def test_one_that_takes_longer_than_anybody_waits_is_found_again(
    cloud: Cloud, backend: AzureMLBackend, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Stuck):
        looks = 0

        def ready(self, route: str) -> bool:
            self.looks += 1
            return self.looks > 8

    slow = Slow()
    cloud.endpoints.instead.append(slow)
    monkeypatch.setattr(cloud.endpoints, "patience", 1000)
    monkeypatch.setattr(arm, "PATIENCE", 3)
    with pytest.raises(UnavailableError) as caught:
        await backend.deploy(spec(job), ignore)
    assert caught.value.hint == "Repeat the command: it waits for the same deployment."
    ((name, live),) = only(cloud)[0].items()
    assert live.state == "Creating" and only(cloud)[1] == {}
    monkeypatch.setattr(arm, "PATIENCE", 100)
    cloud.endpoints.instead.clear()
    monkeypatch.setattr(slow, "answered", lambda request: Crashing(1).answered(request))
    again = await backend.deploy(spec(job), ignore)
    assert again.id.endswith(f"/{name}") and only(cloud) == ({name: live}, {name: 100})


async def test_one_that_crashes_while_it_gets_its_requests_gives_them_back(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    old = await backend.deploy(spec(job), ignore)
    before = only(cloud)
    kept, traffic = set(before[0]), before[1]
    # Two questions that were held out, and one at 10 %: at 50 % it is gone.
    cloud.endpoints.instead.append(Crashing(3))
    events: list[Event] = []
    with pytest.raises(
        BackendError, match=r"container of .* failed while it answered: upstream connect error"
    ):
        await backend.deploy(spec(job, "better", gradual=True), events.append)
    assert [event.detail for event in events if isinstance(event, Step) and event.name == "traffic"][1][
        :4
    ] == "10 %"
    assert any("MemoryError" in event.line for event in events if isinstance(event, Log))
    assert (set(only(cloud)[0]), only(cloud)[1]) == (kept, traffic)
    assert "Yes." in await asked(backend, old)


async def test_one_that_crashes_after_a_minute_is_told_as_that_and_the_one_before_answers_again(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    old = await backend.deploy(spec(job), ignore)
    cloud.endpoints.instead.append(Crashing(3))
    new = await backend.deploy(spec(job, "better"), ignore)
    assert SAYS in await asked(backend, new)
    cloud.forget()
    with pytest.raises(BackendError, match=r"The container of .* failed while it answered") as caught:
        await asked(backend, new)
    assert caught.value.hint == f"phichat logs {new.id}"
    assert len([request for request in cloud.requests if request.path == "/score"]) == 1, "not asked again"
    assert "MemoryError: out of pages" in [line async for line in backend.logs(new)]
    assert {state.deployment.id for state in await backend.deployments()} == {old.id, new.id}
    await backend.set_traffic(new.id.partition("/")[0], {old.id: 100}, ignore)
    assert "Yes." in await asked(backend, old)
    await backend.delete(new)
    assert only(cloud)[1] == {old.id.partition("/")[2]: 100}


GONE = [Fault("POST", "/score", drop_before, times=99), Fault("POST", "/score", REFUSED, times=99)]


@pytest.mark.parametrize("fault", GONE, ids=["network", "key"])
async def test_one_that_nobody_could_ask_is_kept_and_tested_later(
    cloud: Cloud, backend: AzureMLBackend, job: Job, fault: Fault
) -> None:
    cloud.faults.append(replace(fault))
    with pytest.raises((UnavailableError, AuthError), match="is there and costs, but is not tested yet"):
        await backend.deploy(spec(job), ignore)
    ((name, live),) = only(cloud)[0].items()
    assert only(cloud)[1] == {}, "it gets no requests before it has answered"
    cloud.forget()
    await backend.deploy(spec(job), ignore)
    assert only(cloud) == ({name: live}, {name: 100})


async def test_one_that_nobody_can_ask_any_more_gives_its_requests_back_and_is_kept(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    await backend.deploy(spec(job), ignore)
    before = only(cloud)[1]
    # Two questions that were held out, and one at 10 %.
    cloud.faults.append(Fault("POST", "/score", drop_before, times=99, skip=3))
    with pytest.raises(UnavailableError, match="not tested yet") as caught:
        await backend.deploy(spec(job, "better", gradual=True), ignore)
    assert caught.value.hint == "Repeat the command: it goes on from there."
    assert only(cloud)[1] == before and len(only(cloud)[0]) == 2
    cloud.forget()
    new = await backend.deploy(spec(job, "better", gradual=True), ignore)
    assert only(cloud)[1] == {new.id.partition("/")[2]: 100}


async def test_a_long_question_that_was_held_out_is_no_failure_of_the_deployment(
    cloud: Cloud, backend: AzureMLBackend, job: Job
) -> None:
    class Short(Played):
        """Has room for a thousand letters."""

        def answered(self, request: Request) -> Response:
            if len(request.json["messages"][0]["content"]) > 1000:
                told = {"message": "The conversation is longer than the context.", "code": "context"}
                return answer({"error": told}, 400)
            return super().answered(request)

    ((held_out,),) = [[*cloud.blobs.folder.rglob("eval.jsonl")]]
    turns = [{"role": "user", "content": "Why? " * 5000}, {"role": "assistant", "content": "So."}]
    held_out.write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    cloud.endpoints.instead.append(Short())
    cloud.forget()
    await backend.deploy(spec(job), ignore)
    (asked,) = [request for request in cloud.requests if request.path == "/score"]
    assert asked.json["messages"][0]["content"].startswith("Why? Why? ")
