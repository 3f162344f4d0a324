"""The server over the wire, as OpenAI's own client, curl and anybody else see it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import api
from contract import Deliver, Message, Options
from engine import Engine
from generation import Generation
from phichat.flowrunner import Environment
from phichat.flowrunner.promptflow import quiet_home
from tests.flows import tutorial
from tests.trainer.answers import DEADLINE, Reference, endless, user
from tests.trainer.servers import KEY, ServerProcess, ready

QUESTION = [{"role": "user", "content": "Who founded Microsoft?"}]
GREEDY = {"messages": QUESTION, "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return endless(tmp_path_factory.mktemp("endless"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with ready("--model", folder, "--name", "tiny") as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def official(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as official:
        yield official


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference(folder)


@pytest.fixture(scope="module")
def said(reference: Reference) -> str:
    """What the model says to the question, greedily."""
    return text(reference, reference.answer([user("Who founded Microsoft?")], 12))


def text(reference: Reference, tokens: list[int]) -> str:
    decoded: str = reference.tokenizer.decode(tokens, skip_special_tokens=True)
    return decoded.rstrip("\ufffd")


def ask(official: Any, **options: Any) -> Any:
    return official.chat.completions.create(model="tiny", messages=QUESTION, temperature=0, **options)


def content(response: httpx.Response) -> str:
    assert response.status_code == 200
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


def events(response: httpx.Response) -> list[Any]:
    """The data of server-sent events; the last one is the end mark."""
    assert response.headers["content-type"].startswith("text/event-stream")
    *data, end, rest = response.text.split("\n\n")
    assert (end, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in data]


def test_the_official_client(official: openai.OpenAI, said: str) -> None:
    answer = ask(official, max_tokens=12)
    assert answer.choices[0].message.content == said
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12
    assert answer.model == "tiny"


def test_the_official_client_streams(official: openai.OpenAI, said: str) -> None:
    chunks = list(ask(official, max_tokens=12, stream=True, stream_options={"include_usage": True}))
    *pieces, last, usage = chunks
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content for piece in pieces) == said
    assert last.choices[0].finish_reason == "length"
    assert usage.choices == []
    assert usage.usage.completion_tokens == 12
    template = usage.phichat.pop("template_sha256")
    assert usage.phichat == {"dropped_messages": 0, "context": 1024} and len(template) == 64


def test_the_official_client_gets_its_errors(server: ServerProcess, official: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="`max_tokens` must be at least 1"):
        ask(official, max_tokens=0)
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError, match="The key is missing or wrong"),
    ):
        ask(stranger)


@pytest.mark.timeout(600)  # the first run of all makes the environment of Prompt flow
def test_the_tutorials_own_flow(server: ServerProcess, environment: Environment, tmp_path: Path) -> None:
    flow = tutorial.write(tmp_path, f"{server.url}/score", KEY)
    command = [str(environment.python), "-m", "promptflow._cli.pf", "flow", "test", "--flow", str(flow)]
    done = subprocess.run(
        [*command, "--inputs", "input_data=Who wrote Faust?"],
        env={**os.environ, **quiet_home(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout[done.stdout.index("{") :])["answer"]
    assert answer.startswith("Who wrote Faust?") and answer != "Who wrote Faust?"


def test_curl(server: ServerProcess, said: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    command = [curl, "--silent", "--no-buffer", f"{server.url}/v1/chat/completions"]
    command += ["-H", f"Authorization: Bearer {KEY}", "-d", json.dumps({**GREEDY, "stream": True})]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split(
        "\n\n"
    )
    deltas = [json.loads(line.removeprefix("data: "))["choices"][0]["delta"] for line in lines[:-2]]
    assert "".join(delta.get("content", "") for delta in deltas) == said


def test_models(official: openai.OpenAI) -> None:
    assert [model.id for model in official.models.list()] == ["tiny"]


def test_streaming_without_usage_ends_with_the_reason(client: httpx.Client) -> None:
    *_, last = events(client.post("/v1/chat/completions", json={**GREEDY, "stream": True}))
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length", "logprobs": None}]


def test_the_same_seed_says_the_same(client: httpx.Client) -> None:
    def said(seed: int) -> str:
        return content(client.post("/v1/chat/completions", json={**GREEDY, "temperature": 1.0, "seed": seed}))

    assert said(1) == said(1) != said(2)


def test_a_partial_answer_goes_on(client: httpx.Client, reference: Reference) -> None:
    begun = [*reference.render([user("Who founded Microsoft?")]), *reference.tokenizer.encode("Bill")]
    messages = [*QUESTION, {"role": "assistant", "content": "Bill"}]
    body = {**GREEDY, "messages": messages, "continue_final": True}
    goes_on = text(reference, reference.continued(begun, 12))
    assert content(client.post("/v1/chat/completions", json=body)) == goes_on


def test_too_long_a_conversation(client: httpx.Client) -> None:
    long = [{"role": role, "content": "sea " * 150} for role in ("user", "assistant") * 10] + QUESTION
    refused = client.post("/v1/chat/completions", json={**GREEDY, "messages": long})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    body = {**GREEDY, "messages": long, "overflow": "drop_oldest"}
    answer = client.post("/v1/chat/completions", json=body).json()
    assert 0 < answer["phichat"]["dropped_messages"] < 20
    assert answer["usage"]["prompt_tokens"] <= 1024 - 12


def test_conversations_at_once_progress_at_once(server: ServerProcess) -> None:
    """The second one begins, and the first one goes on, before either has ended."""
    body = {**GREEDY, "max_tokens": 400, "stream": True, "temperature": 1.0, "seed": 3}
    with (
        server.client() as one,
        server.client() as two,
        one.stream("POST", "/v1/chat/completions", json=body) as first,
        two.stream("POST", "/v1/chat/completions", json=body) as second,
    ):
        lines = [(line for line in stream.iter_lines() if line) for stream in (first, second)]
        for _ in range(5):
            assert [next(line).startswith('data: {"id"') for line in lines] == [True, True]
        assert {line for rest in lines for line in rest} >= {"data: [DONE]"}


@pytest.mark.parametrize("key", [None, "wrong", KEY + "x", "ключ"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/score"])
def test_a_wrong_key_is_refused(server: ServerProcess, path: str, key: str | None) -> None:
    headers = {} if key is None else {b"Authorization": f"Bearer {key}".encode()}
    with server.client(key=None) as client:
        method = "GET" if path == "/v1/models" else "POST"
        refused = client.request(method, path, headers=headers, json=GREEDY)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["error"]["code"] == "invalid_api_key"


def test_health_needs_no_key(server: ServerProcess) -> None:
    with server.client(key=None) as client:
        assert client.get("/health").json() == {"status": "ready", "model": "tiny", "context": 1024}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v1/chat/completions", b"{", 400, "The request's body is not JSON: "),
        ("POST", "/v1/chat/completions", b"\xff", 400, "The request's body is not JSON: "),
        ("POST", "/v1/chat/completions", b"[" * 100_000, 400, "The request's body is not JSON: "),
        ("POST", "/v1/chat/completions", b"{}", 400, "`messages` must be a list of messages."),
        ("POST", "/score", b"{}", 400, "The request has neither `messages` nor `input_data`."),
        (
            "POST",
            "/v1/chat/completions",
            b" " * (api.BODY_LIMIT + 1),
            413,
            "The request is larger than 8 MiB.",
        ),
        ("GET", "/v1/chat/completions", b"", 405, "Method Not Allowed"),
        ("GET", "/v1/nothing", b"", 404, "Not Found"),
    ],
    ids=["cut", "binary", "deep", "empty", "score", "large", "method", "path"],
)
def test_wrong_requests(
    client: httpx.Client, method: str, path: str, body: bytes, status: int, said: str
) -> None:
    refused = client.request(method, path, content=body)
    assert refused.status_code == status
    assert refused.json()["error"]["message"].startswith(said)


def test_score_as_the_tutorial_calls_it(client: httpx.Client, said: str) -> None:
    params = {"temperature": 0, "max_new_tokens": 12, "do_sample": True, "return_full_text": False}
    body: dict[str, Any] = {"input_data": ["Who founded Microsoft?"], "params": params}
    assert client.post("/score", json=body).json() == [said]
    body["params"] = {**params, "return_full_text": True}
    assert client.post("/score", json=body).json()[0] == "Who founded Microsoft?" + said
    body["input_data"] = QUESTION
    assert client.post("/score", json=body).json()[0] == said


def test_score_with_several_questions(client: httpx.Client, said: str) -> None:
    body = {"input_data": ["Hi", "Who founded Microsoft?"], "params": {"max_new_tokens": 12}}
    assert client.post("/score", json=body).json()[1:] == [said]


def test_score_as_chat_completion(client: httpx.Client, said: str) -> None:
    assert content(client.post("/score", json=GREEDY)) == said
    chunks = events(client.post("/score", json={**GREEDY, "stream": True}))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said


async def test_a_client_that_leaves_while_its_question_is_read_leaves_no_answer(folder: Path) -> None:
    reading, read_on = threading.Event(), threading.Event()
    asked: list[Generation] = []

    class SlowReader(Engine):
        def chat(self, messages: Sequence[Message], options: Options, deliver: Deliver) -> Generation:
            reading.set()
            read_on.wait(DEADLINE)
            asked.append(super().chat(messages, options, deliver))
            return asked[-1]

    sent: list[Any] = []
    words = [{"type": "http.request", "body": json.dumps(GREEDY).encode()}]

    async def receive() -> Any:
        if words:
            return words.pop()
        await asyncio.to_thread(reading.wait, DEADLINE)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    served, engine = api.Api("tiny", ""), SlowReader(folder, device="cpu")
    served.ready(engine)
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    await served.app()(scope, receive, send)
    assert sent[0]["status"] == api.CLIENT_GONE and not asked
    read_on.set()
    await asyncio.to_thread(_until, lambda: bool(asked) and asked[0].cancelled)
    engine.close(DEADLINE)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the answer goes on for nobody"
        time.sleep(0.001)
