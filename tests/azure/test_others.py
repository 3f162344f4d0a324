"""Endpoints that others have made: asked in their own contract, which is found out once; never changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.azureml import contracts
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.azureml.foreign import UNKNOWN
from phichat.backends.base import ChatOptions, Deployment, Message, Usage
from phichat.errors import AuthError, BackendError, NotFoundError, UnsupportedError
from tests.azure.places import Lab, lab_of
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.standin.faults import Fault, busy, instead
from tests.azure.standin.others import (
    SAYS,
    WORDS,
    Catalogue,
    CatalogueText,
    Crashing,
    MLflow,
    OpenAI,
    Stranger,
    Theirs,
)
from tests.azure.standin.wire import Request, Response, error

TOP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/phichat/providers/Microsoft.MachineLearningServices"
ENDPOINTS = f"{TOP}/workspaces/phichat/onlineEndpoints"
BLUE = Deployment(id="theirs/blue")
HELLO = [Message(role="system", content="Be brief."), Message(role="user", content="What is salt?")]
PROMPT = "<|system|>\nBe brief.<|end|>\n<|user|>\nWhat is salt?<|end|>\n<|assistant|>\n"
SHORT = ChatOptions(max_new_tokens=7, temperature=0.5, top_p=0.9)
PHI3 = "Phi-3-mini-4k-instruct"


@pytest.fixture
async def backend(cloud: Cloud, tmp_path: Path) -> AsyncIterator[AzureMLBackend]:
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    opened = lab_of(tmp_path)
    yield opened
    await opened.aclose()


def have(cloud: Cloud, container: Theirs, model: str = PHI3, route: str = "/score") -> None:
    cloud.endpoints.theirs(f"{ENDPOINTS}/theirs", container, model, route)


def scored(cloud: Cloud) -> list[Request]:
    """What was asked of endpoints."""
    return [request for request in cloud.requests if request.host.endswith(".inference.ml.azure.com")]


async def said(backend: AzureMLBackend, options: ChatOptions = SHORT) -> tuple[list[str], Usage]:
    *pieces, usage = [part async for part in backend.chat(BLUE, HELLO, options)]
    assert isinstance(usage, Usage)
    return [str(piece) for piece in pieces], usage


PARAMETERS = {
    **{"max_new_tokens": 7, "return_full_text": False, "do_sample": True},
    **{"temperature": 0.5, "top_p": 0.9},
}
MESSAGES = [message.model_dump() for message in HELLO]
KNOWN = [
    pytest.param(MLflow(), {"input_data": [PROMPT], "params": PARAMETERS}, 1, id="mlflow"),
    pytest.param(
        MLflow(listens=True), {"input_data": [PROMPT], "params": PARAMETERS}, 1, id="mlflow-listens"
    ),
    pytest.param(MLflow(skips=True), {"input_data": [PROMPT], "params": PARAMETERS}, 1, id="mlflow-skips"),
    pytest.param(
        Catalogue(),
        {"input_data": {"input_string": MESSAGES, "parameters": PARAMETERS}},
        2,
        id="catalogue",
    ),
    pytest.param(
        CatalogueText(),
        {"input_data": {"input_string": [PROMPT], "parameters": PARAMETERS}},
        3,
        id="catalogue-text",
    ),
]


@pytest.mark.parametrize(("container", "body", "asked"), KNOWN)
async def test_a_contract_is_found_out_once_and_remembered(
    cloud: Cloud, backend: AzureMLBackend, lab: Lab, container: Theirs, body: Any, asked: int
) -> None:
    have(cloud, container)
    pieces, usage = await said(backend)
    assert pieces == [SAYS] and usage.finish_reason == UNKNOWN
    assert len(scored(cloud)) == asked + 1
    assert scored(cloud)[-1].json == body
    cloud.forget()
    # Another process.
    assert (await said(lab()))[0] == [SAYS]
    assert [request.json for request in scored(cloud)] == [body]
    assert not cloud.made()


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/score"])
@pytest.mark.parametrize("wants_its_name", [False, True])
async def test_an_openai_server_streams_under_its_model_s_name(
    cloud: Cloud, backend: AzureMLBackend, lab: Lab, route: str, wants_its_name: bool
) -> None:
    have(cloud, OpenAI("phi", wants_its_name=wants_its_name), route=route)
    pieces, usage = await said(backend, SHORT.model_copy(update={"overflow": "drop_oldest"}))
    assert pieces == list(WORDS)
    assert (usage.completion_tokens, usage.finish_reason) == (len(WORDS), "stop")
    cloud.forget()
    assert (await said(lab()))[0] == list(WORDS)
    (only,) = scored(cloud)
    assert only.path == "/v1/chat/completions" and only.json["model"] == "phi"
    assert only.json["messages"] == MESSAGES and "overflow" not in only.json
    assert only.headers["azureml-model-deployment"] == "blue"
    access = await backend.access(BLUE)
    assert access.base_url == "https://theirs.eastus2.inference.ml.azure.com/v1" and access.model == "phi"
    with pytest.raises(UnsupportedError, match="cannot go on with an answer"):
        await said(backend, SHORT.model_copy(update={"continue_final": True}))


async def test_another_content_is_found_out_anew(cloud: Cloud, backend: AzureMLBackend, lab: Lab) -> None:
    have(cloud, MLflow())
    await said(backend)
    have(cloud, OpenAI(), model="Phi-3.5-mini-instruct", route="/v1/chat/completions")
    assert (await said(lab()))[0] == list(WORDS)


async def test_texts_that_end_an_answer_and_answers_to_go_on_with(
    cloud: Cloud, backend: AzureMLBackend
) -> None:
    have(cloud, MLflow())
    assert (await said(backend, SHORT.model_copy(update={"stop": ("salt", " is")})))[0] == ["The sea"]
    options = SHORT.model_copy(update={"continue_final": True})
    begun = [*HELLO, Message(role="assistant", content="Salt ")]
    parts = [part async for part in backend.chat(BLUE, begun, options)]
    assert parts[0] == SAYS
    assert scored(cloud)[-1].json["input_data"] == [f"{PROMPT}Salt "]


async def test_other_clients_cannot_use_every_contract(cloud: Cloud, backend: AzureMLBackend) -> None:
    have(cloud, MLflow())
    with pytest.raises(UnsupportedError, match="speaks MLflow's input_data") as caught:
        await backend.access(BLUE)
    assert caught.value.hint == "phichat chat --deployment theirs/blue"


async def test_what_nobody_can_know_is_asked_for(cloud: Cloud, backend: AzureMLBackend, lab: Lab) -> None:
    have(cloud, MLflow(), model="our-own-model")
    with pytest.raises(BackendError, match="nobody knows its model's chat template") as caught:
        await said(backend)
    assert "backends.azureml.endpoint_template" in caught.value.hint
    assert (await said(lab(endpoint_template="phi-4")))[0] == [SAYS]
    assert scored(cloud)[-1].json["input_data"][0].startswith("<|im_start|>system<|im_sep|>Be brief.")


async def test_what_speaks_no_protocol_is_told_with_its_words(cloud: Cloud, backend: AzureMLBackend) -> None:
    have(cloud, Stranger())
    with pytest.raises(BackendError, match=r"speaks no protocol that phichat knows; .*predictions"):
        await said(backend)


async def test_faults_at_the_door_are_no_contract(cloud: Cloud, backend: AzureMLBackend, lab: Lab) -> None:
    have(cloud, MLflow())
    cloud.faults.append(Fault("POST", "/score", busy(429), times=2))
    assert (await said(backend))[0] == [SAYS]
    cloud.endpoints.rotate("theirs")
    assert (await said(backend))[0] == [SAYS]
    cloud.faults.append(Fault("POST", "/score", instead(Response(401, b"{}")), times=9))
    with pytest.raises(AuthError):
        await said(backend)
    cloud.forget()
    crashed = {"ms-azureml-model-error-statuscode": "502"}
    cloud.faults.append(Fault("POST", "/score", instead(Response(424, b"upstream is gone", crashed))))
    with pytest.raises(BackendError, match=r"container of theirs/blue failed .*upstream is gone"):
        await said(backend)
    have(cloud, Crashing(0), model="another")
    with pytest.raises(BackendError, match=r"^The container of theirs/blue failed"):
        await said(lab())
    del cloud.endpoints.found["theirs"].deployments["blue"]
    with pytest.raises(NotFoundError):
        await said(backend)


async def test_they_are_listed_and_left_alone(cloud: Cloud, backend: AzureMLBackend) -> None:
    have(cloud, MLflow())
    (state,) = await backend.deployments()
    assert (state.deployment.id, state.model, state.traffic) == ("theirs/blue", PHI3, 100)
    assert state.foreign and not state.previous and state.detail == "Standard_NC6s_v3, of others"
    assert await backend.resources() == []
    for refused in (
        backend.delete(BLUE),
        backend.set_traffic("theirs", {"blue": 100}, print),
    ):
        with pytest.raises(BackendError, match="belongs to somebody else"):
            await refused
    assert [line async for line in backend.logs(BLUE)] == ["INFO: the server of somebody else"]
    assert not cloud.made()


async def test_one_that_goes_while_all_are_listed_hides_nothing(
    cloud: Cloud, backend: AzureMLBackend
) -> None:
    have(cloud, MLflow())
    cloud.endpoints.theirs(f"{ENDPOINTS}/gone", MLflow(), PHI3)
    gone = error(404, "ResourceNotFound", "gone was not found.")
    cloud.faults.append(Fault("GET", "/gone/deployments$", instead(gone)))
    assert [state.deployment.id for state in await backend.deployments()] == ["theirs/blue"]


async def test_what_is_remembered_holds_no_key(cloud: Cloud, backend: AzureMLBackend, tmp_path: Path) -> None:
    have(cloud, MLflow())
    await said(backend)
    written = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert any("mlflow" in text for text in written)
    assert not any(key in text for key in cloud.endpoints.found["theirs"].keys for text in written)
    # A file that is broken is a file that is not there.
    (file,) = tmp_path.rglob("contracts.json")
    file.write_text("[1]")
    assert (await said(backend))[0] == [SAYS]
    assert json.loads(file.read_text())["theirs/blue"]["kind"] == "mlflow"


def test_only_an_echo_is_taken_for_one() -> None:
    assert contracts.without_echo("What is salt? Salt.", "What is salt?") == " Salt."
    assert contracts.without_echo("\n What  is salt?\nSalt.", "<|user|>\nWhat is salt?<|end|>") == "Salt."
    assert contracts.without_echo("Salt.", "<|user|>\nWhat is salt?<|end|>") == "Salt."
    assert contracts.without_echo("Salt.", "") == "Salt."
