"""The contract of the flow server, the same on Prompt flow and on the plain one."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import psutil
import pytest

from phichat.backends.base import Message, Usage
from phichat.errors import BackendError, UnavailableError
from phichat.flowrunner.client import stream_flow
from tests.flows.conftest import Served, files_in
from tests.flows.upstream import KEY

pytestmark = pytest.mark.timeout(600)  # the first run of all makes the environment

EVENTS = {"Accept": "text/event-stream"}
BOTH = {"Accept": "text/event-stream, application/json"}


def ask(
    served: Served, question: object, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    with served.client as client:
        return client.post("/score", json={"question": question, **more}, headers=headers)


def pieces(response: httpx.Response) -> list[str]:
    """The answers of server-sent events."""
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, rest = response.text.split("\n\n")
    assert rest == ""
    data = [json.loads(event.removeprefix("data: ")) for event in events]
    return [each["answer"] for each in data if "answer" in each]


def problem(response: httpx.Response) -> str:
    """The sentence of an error."""
    error = response.json()["error"]
    assert set(error) == {"code", "message"}
    message: str = error["message"]
    return message


def test_an_answer(served: Served) -> None:
    response = ask(served, "Who are you?")
    assert (response.status_code, response.json()) == (200, {"answer": "Who are you?"})


@pytest.mark.parametrize("headers", [EVENTS, BOTH])
def test_an_answer_as_it_comes(served: Served, headers: dict[str, str]) -> None:
    assert pieces(ask(served, "Who are you?", headers)) == ["Who", " are", " you?"]


def test_the_pieces_are_not_held_back(served: Served) -> None:
    with (
        served.client as client,
        client.stream("POST", "/score", json={"question": "forever"}, headers=EVENTS) as r,
    ):
        lines = r.iter_lines()
        assert next(lines) == 'data: {"answer": "forever"}'


def test_the_history_and_the_system_prompt_reach_the_model(served: Served) -> None:
    history = [
        {"inputs": {"system": "Count."}, "outputs": {}},
        {"inputs": {"question": "One?"}, "outputs": {"answer": "Two."}},
    ]
    assert ask(served, "Three?", chat_history=history).status_code == 200
    said = [(message["role"], message["content"]) for message in served.upstream.asked[-1]["messages"]]
    assert said == [("system", "Count."), ("user", "One?"), ("assistant", "Two."), ("user", "Three?")]


@pytest.mark.parametrize("headers", [None, EVENTS])
def test_a_refusal_is_an_error_in_the_words_of_the_deployment(
    served: Served, headers: dict[str, str] | None
) -> None:
    response = ask(served, "impossible", headers)
    assert response.status_code == 400
    assert problem(response).endswith("9000 tokens are more than 4096.")


@pytest.mark.parametrize("headers", [None, EVENTS])
def test_a_wrong_key_is_an_error(
    served: Served, headers: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.upstream, "key", "another")
    response = ask(served, "Who are you?", headers)
    assert response.status_code == 400
    assert "OPENAI_API_KEY is not a key of this deployment" in problem(response)


@pytest.mark.parametrize("body", ["{}", "not JSON", "[]", '{"question": ""}', '{"input_data": ["Hm?"]}'])
def test_what_is_no_question_is_an_error(served: Served, body: str) -> None:
    asked = len(served.upstream.asked)
    with served.client as client:
        response = client.post("/score", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400 and problem(response)
    assert len(served.upstream.asked) == asked


def test_a_history_that_is_none_is_an_error(served: Served) -> None:
    response = ask(served, "Hm?", chat_history=[{"question": "One?"}])
    assert response.status_code == 400
    assert "`chat_history[0]` must be" in problem(response)


def test_an_answer_that_breaks_off_is_an_error(served: Served) -> None:
    response = ask(served, "please vanish")
    assert response.status_code == 500
    assert problem(response).startswith("The answer broke off: ")


def test_a_stream_that_breaks_off_says_so(served: Served) -> None:
    *said, last = pieces(ask(served, "please stumble", EVENTS))
    assert said == ["please", " stumble"]
    assert last == "\n[The answer broke off: Out of memory.]"


def test_what_cannot_be_answered_is_told_by_its_status(served: Served) -> None:
    assert ask(served, "Hm?", {"Accept": "image/png"}).status_code == 406
    with served.client as client:
        assert client.get("/score").status_code == 405
        assert client.options("/score").status_code == 405
        assert client.get("/nowhere").status_code == 404


def test_health_and_the_page(served: Served) -> None:
    with served.client as client:
        assert client.get("/health").json()["status"] == "Healthy"
        page = client.get("/")
        assert page.status_code == 200 and "<html" in page.text
        scripts = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
        assert all(client.get(script).status_code == 200 for script in scripts)
    assert bool(scripts) == (served.engine == "promptflow"), "the plain page is all in one file"


@pytest.mark.parametrize("headers", [{"Origin": "https://elsewhere.example"}, {"Host": "elsewhere.example"}])
def test_the_pages_of_others_may_not_ask(served: Served, headers: dict[str, str]) -> None:
    asked = len(served.upstream.asked)
    response = ask(served, "Who are you?", headers)
    assert response.status_code == 403 and problem(response)
    assert len(served.upstream.asked) == asked


def test_its_own_page_may_ask_and_nobody_elses_is_told_so(served: Served) -> None:
    response = ask(served, "Who are you?", {"Origin": served.server.url})
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_chat_through_it(served: Served) -> None:
    asked = [
        Message(role="system", content="Count."),
        Message(role="user", content="One?"),
        Message(role="assistant", content="Two."),
        Message(role="user", content="And now?"),
    ]
    parts = [part async for part in stream_flow(served.server.url, asked)]
    assert parts == ["And", " now?", Usage(prompt_tokens=0, completion_tokens=0, finish_reason="stop")]
    assert [message["content"] for message in served.upstream.asked[-1]["messages"]] == [
        message.content for message in asked
    ]


@pytest.mark.parametrize(
    ("question", "error", "sentence"),
    [("impossible", BackendError, "9000 tokens"), ("please vanish", UnavailableError, "broke off")],
)
async def test_chat_through_it_fails_in_clear_words(
    served: Served, question: str, error: type[BackendError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        async for _ in stream_flow(served.server.url, [Message(role="user", content=question)]):
            pass


def test_it_is_for_this_machine_and_its_key_is_nowhere_to_be_read(served: Served) -> None:
    (listening,) = [
        each
        for each in psutil.net_connections("tcp")
        if each.status == "LISTEN" and tuple(each.laddr)[1:] == (served.server.port,)
    ]
    assert listening.laddr[:1] == ("127.0.0.1",)
    process = psutil.Process(listening.pid)
    assert {each.raddr[:1] for each in process.net_connections()} <= {(), ("127.0.0.1",)}
    family = [process, *process.parents()[:2], *process.children(recursive=True)]
    assert not [each for each in family if KEY in " ".join(each.cmdline())]
    assert not [file for file in files_in(served.folder) if KEY.encode() in file.read_bytes()]


def test_the_home_folder_is_left_alone(served: Served) -> None:
    assert ask(served, "Who are you?").status_code == 200
    assert files_in(served.home) == []
    settings = [file.read_text("utf-8") for file in files_in(served.folder) if file.name == "pf.yaml"]
    assert all("telemetry:\n  enabled: false" in text for text in settings)
    assert bool(settings) == (served.engine == "promptflow")


def test_a_deployment_that_dies_is_an_error_in_both_ways(served: Served) -> None:
    served.upstream.stop()
    for headers in (None, EVENTS):
        response = ask(served, "Who are you?", headers)
        assert response.status_code == 400
        assert "cannot be reached" in problem(response)
