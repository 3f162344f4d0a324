"""The chat flow's own code, without Prompt flow: what it asks, what it gives, and how it fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

import deployment
from deployment import DeploymentError
from tests.flows.upstream import Upstream, deployed


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with deployed() as running:
        yield running


def ask(upstream: Upstream, question: object, history: object = (), **environ: str) -> list[str]:
    return list(deployment.answer(question, history, environ={**upstream.environ, **environ}))


def test_the_answer_comes_in_pieces(upstream: Upstream) -> None:
    assert ask(upstream, "Who are you?") == ["Who", " are", " you?"]


def test_what_was_said_before_and_the_system_prompt_go_along(upstream: Upstream) -> None:
    history = [{"inputs": {"question": "One?"}, "outputs": {"answer": "Two."}}]
    more = {"CHAT_FLOW_SYSTEM": "Be brief.", "CHAT_FLOW_OPTIONS": json.dumps({"max_tokens": 5, "model": "m"})}
    ask(upstream, "Three?", history, **more)
    (body,) = upstream.asked
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
    assert (body["max_tokens"], body["model"], body["stream"]) == (5, "m", True)


def test_a_conversations_own_instruction_is_the_one_that_counts(upstream: Upstream) -> None:
    environ = {**upstream.environ, "CHAT_FLOW_SYSTEM": "Be brief."}
    list(deployment.answer("Hm?", [{"inputs": {"system": "Be long."}}], environ))
    assert upstream.asked[0]["messages"][0] == {"role": "system", "content": "Be long."}


def test_azures_own_address_is_asked_as_it_is(upstream: Upstream) -> None:
    scoring = upstream.url.replace("/v1", "/score")
    assert ask(upstream, "Hm", OPENAI_BASE_URL=scoring) == ["Hm"]


def test_a_deployment_that_does_not_stream(upstream: Upstream) -> None:
    assert ask(upstream, "whole") == ["All at once."]


def test_nothing_to_say_is_an_answer_too(upstream: Upstream) -> None:
    assert ask(upstream, "silent") == [""]


@pytest.mark.parametrize(
    ("question", "environ", "sentence"),
    [
        ("impossible", {}, "9000 tokens are more than 4096."),
        ("Hm?", {"OPENAI_API_KEY": "wrong"}, "OPENAI_API_KEY is not a key of this deployment"),
        ("Hm?", {"OPENAI_API_KEY": ""}, "The key is missing or wrong."),
        ("Hm?", {"OPENAI_BASE_URL": ""}, "OPENAI_BASE_URL does not say which deployment to ask"),
        ("Hm?", {"CHAT_FLOW_OPTIONS": "[1"}, "CHAT_FLOW_OPTIONS is not a JSON object"),
        (" ", {}, "`question` must be a text"),
        (None, {}, "`question` must be a text"),
        (5, {}, "`question` must be a text"),
    ],
)
def test_what_can_be_known_is_told_before_the_first_piece(
    upstream: Upstream, question: object, environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(DeploymentError, match=sentence):
        deployment.answer(question, environ={**upstream.environ, **environ})


@pytest.mark.parametrize(
    "history", ["hello", [{"question": "One?"}], [{"inputs": {"question": 1}, "outputs": {}}]]
)
def test_a_history_that_is_none(upstream: Upstream, history: object) -> None:
    with pytest.raises(DeploymentError, match="chat_history"):
        deployment.answer("Hm?", history, environ=upstream.environ)
    assert upstream.asked == []


def test_a_dead_host_is_told_before_the_first_piece() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(DeploymentError, match="cannot be reached"):
        deployment.answer("Hm?", environ={"OPENAI_BASE_URL": url})


@pytest.mark.parametrize(
    ("question", "why"), [("please stumble", "Out of memory."), ("please vanish", "ended")]
)
def test_an_answer_that_breaks_off_says_so_and_is_no_answer(
    upstream: Upstream, question: str, why: str
) -> None:
    pieces = deployment.answer(question, environ=upstream.environ)
    assert next(pieces) + next(pieces) == question
    last = next(pieces)
    assert last.startswith(f"\n[{deployment.BROKE_OFF}: ") and why in last
    with pytest.raises(DeploymentError, match=why):
        next(pieces)


def test_a_busy_deployment_is_asked_again_when_it_wants(upstream: Upstream) -> None:
    waited: list[float] = []
    pieces = deployment.answer("busy", environ=upstream.environ, pause=waited.append)
    assert list(pieces) == ["busy"]
    assert waited == [7.0, 7.0]


def test_closing_the_answer_stops_the_model(upstream: Upstream) -> None:
    pieces = deployment.answer("forever", environ=upstream.environ)
    assert next(pieces) == "forever"
    pieces.close()
    assert upstream.gone.wait(10)


def test_this_machine_is_never_asked_through_a_proxy(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask(upstream, "here") == ["here"]
