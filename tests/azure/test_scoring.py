"""Chatting with a deployment on Azure: what goes wrong at the door and behind it, told as what it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phichat.backends.azureml import arm
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import ChatOptions, Deployment, DeploySpec, Message, Usage
from phichat.errors import AuthError, BackendError, NotFoundError, UnavailableError
from tests.azure.places import lab_of
from tests.azure.standin.cloud import Cloud
from tests.azure.standin.faults import Fault, busy, drop_before, drop_in_the_middle, instead
from tests.azure.standin.services.endpoints import Endpoint
from tests.azure.standin.wire import Response, error
from tests.azure.training import ignore

HELLO = [Message(role="user", content="Tell me about the sea.")]
SHORT = ChatOptions(max_new_tokens=4, temperature=0)
SCORE = r"/score$"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Deployment]:
    """The one deployment that the tests share, once it is made."""
    return {}


@pytest.fixture
async def backend(
    cloud: Cloud, tmp_path: Path, tiny_phi3: Path, deployed: dict[str, Deployment]
) -> AsyncIterator[AzureMLBackend]:
    """A new instance, with a real container behind the endpoint."""
    opened = lab_of(tmp_path)
    if not deployed:
        cloud.workspaces.make("phichat", "phichat")
        deployed["chat"] = await opened.deploy(DeploySpec(name="chat", model=str(tiny_phi3)), ignore)
        await opened.aclose()
        opened = lab_of(tmp_path)
        cloud.forget()
    yield opened
    await opened.aclose()


@pytest.fixture
def chat(backend: AzureMLBackend, deployed: dict[str, Deployment]) -> Deployment:
    return deployed["chat"]


def endpoint(cloud: Cloud) -> Endpoint:
    (found,) = cloud.endpoints.found.values()
    return found


async def answered(backend: AzureMLBackend, chat: Deployment, options: ChatOptions = SHORT) -> Usage:
    *pieces, usage = [part async for part in backend.chat(chat, HELLO, options)]
    assert pieces and isinstance(usage, Usage)
    return usage


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_endpoint_is_asked_again_when_it_says(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(arm, "pause", pause)
    later = error(status, "Busy", "Too many requests.", Retry_After="7")
    cloud.faults.append(Fault("POST", SCORE, instead(later), times=2))
    await answered(backend, chat)
    assert waited == [7, 7]
    cloud.faults.append(Fault("POST", SCORE, busy(status), times=100))
    with pytest.raises(UnavailableError):
        await answered(backend, chat)


async def test_a_dropped_connection_is_tried_again(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment
) -> None:
    cloud.faults.append(Fault("POST", SCORE, drop_before, times=2))
    await answered(backend, chat)


async def test_an_answer_that_breaks_off_is_not_asked_for_again(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment
) -> None:
    cloud.faults.append(Fault("POST", SCORE, drop_in_the_middle))
    pieces: list[object] = []
    with pytest.raises(UnavailableError):
        async for part in backend.chat(chat, HELLO, SHORT):
            pieces.append(part)
    assert len([request for request in cloud.requests if request.path == "/score"]) == 1
    await answered(backend, chat)


async def test_a_rotated_key_is_fetched_again_once(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment
) -> None:
    await answered(backend, chat)
    cloud.endpoints.rotate(endpoint(cloud).name)
    await answered(backend, chat)
    fetched = [request for request in cloud.requests if request.path.endswith("/listKeys")]
    assert len(fetched) == 2
    refused = Response(401, b'{"message": "Access denied due to invalid key."}')
    cloud.faults.append(Fault("POST", SCORE, instead(refused), times=100))
    with pytest.raises(AuthError):
        await answered(backend, chat)
    assert len([request for request in cloud.requests if request.path.endswith("/listKeys")]) == 3


async def test_keys_are_nowhere_on_the_disk(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment, tmp_path: Path
) -> None:
    access = await backend.access(chat)
    assert access.key in endpoint(cloud).keys and access.key not in repr(access)
    await answered(backend, chat)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert not any(key.encode() in written for key in endpoint(cloud).keys)


async def test_what_the_container_refuses_is_told_in_its_words(
    backend: AzureMLBackend, chat: Deployment
) -> None:
    # The container answers 400, the endpoint makes 424 of it.
    with pytest.raises(BackendError, match="context"):
        long = [Message(role="user", content="sea " * 20_000)]
        [_ async for _ in backend.chat(chat, long, SHORT)]


async def test_a_container_that_is_gone_is_told_as_that(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment
) -> None:
    reasons = {"ms-azureml-model-error-statuscode": "502", "ms-azureml-model-error-reason": "model_error"}
    cloud.faults.append(Fault("POST", SCORE, instead(Response(424, b"upstream is gone", reasons))))
    with pytest.raises(BackendError, match=r"The container of .* failed .*upstream is gone") as caught:
        await answered(backend, chat)
    assert caught.value.hint == f"phichat logs {chat.id}"


async def test_an_answer_comes_as_it_is_made_and_stops_when_it_is_left(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment
) -> None:
    options = ChatOptions(max_new_tokens=2000, temperature=1, seed=1)
    parts = backend.chat(chat, HELLO, options)
    assert isinstance(await anext(parts), str)
    await parts.aclose()
    # A container that went on with the first answer would share its time with the next one.
    await answered(backend, chat)


async def test_who_asks_nowhere_is_told_so(backend: AzureMLBackend, chat: Deployment) -> None:
    for name in ("nowhere", "no/where", f"{chat.id}x"):
        with pytest.raises(NotFoundError):
            await answered(backend, Deployment(id=name))
        with pytest.raises(NotFoundError):
            await backend.access(Deployment(id=name))


async def test_a_second_version_comes_without_a_failed_request(
    cloud: Cloud, backend: AzureMLBackend, chat: Deployment, tiny_phi3: Path
) -> None:
    import httpx

    access, done, answers = await backend.access(chat), asyncio.Event(), asyncio.Event()
    statuses: list[int] = []
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}

    async def ask() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while not done.is_set():
                headers = {"Authorization": f"Bearer {access.key}"}
                url = f"{access.base_url}/chat/completions"
                statuses.append((await client.post(url, json=body, headers=headers)).status_code)
                answers.set()

    asking = asyncio.create_task(ask())
    new = await backend.deploy(DeploySpec(name="better", model=str(tiny_phi3)), ignore)
    names = [each.id.partition("/")[2] for each in (chat, new)]
    for _ in range(3):
        answers.clear()
        await answers.wait()
    assert cloud.scoring.asked[names[1]] > 1, "it was asked by others than the test of its deployment"
    await backend.set_traffic(chat.id.partition("/")[0], {chat.id: 100}, ignore)
    await backend.delete(new)
    done.set()
    await asking
    assert set(statuses) == {200}
    assert list(endpoint(cloud).deployments) == names[:1]
