"""The plain flow server by itself: who is let in, what it is given, and when the model is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

import plain
from door import Door
from phichat.flowrunner import Environment
from tests.flows.conftest import Served, serving
from tests.flows.upstream import Upstream, deployed

QUESTION = {"question": "Who are you?"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("plain")
    with deployed() as upstream, serving("plain", Environment(place / "cache"), upstream, place) as running:
        yield running


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """A deployment that the environment names."""
    with deployed() as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


def client(app: Door, host: str = "flow.example") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_the_model_stops_when_the_client_goes_away(served: Served, accept: str) -> None:
    served.upstream.gone.clear()
    served.upstream.begun.clear()
    async with httpx.AsyncClient(base_url=served.server.url, headers={"Accept": accept}) as http:
        asking = asyncio.create_task(http.post("/score", json={"question": "forever"}))
        assert await asyncio.to_thread(served.upstream.begun.wait, 10)
        asking.cancel()
        await asyncio.wait({asking})
    assert await asyncio.to_thread(served.upstream.gone.wait, 10)


async def test_a_key_is_asked_for_where_there_is_one(upstream: Upstream) -> None:
    async with client(plain.app(key="open sesame")) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open sesame"}):
            refused = await http.post("/score", json=QUESTION, headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["message"] == "The key is missing or wrong."
        assert upstream.asked == []
        answer = await http.post("/score", json=QUESTION, headers={"Authorization": "Bearer open sesame"})
        assert answer.json() == {"answer": "Who are you?"}
        assert (await http.get("/health")).status_code == 200, "whoever runs it looks without a key"


async def test_anybody_may_come_only_where_that_was_said(upstream: Upstream) -> None:
    async with client(plain.app()) as http:
        assert (await http.post("/score", json=QUESTION)).status_code == 403
    async with client(plain.app(anybody=True)) as http:
        assert (await http.post("/score", json=QUESTION)).status_code == 200


async def test_a_request_has_a_limit(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "BODY_LIMIT", 100)
    async with client(plain.app(), "localhost") as http:
        assert (await http.post("/score", json={"question": "a" * 100})).status_code == 413


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_it_does_not_open_to_others_without_a_word(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        plain.main(["--host", host], {})
    assert end.value.code == 2
    assert "anybody could use this server: set CHAT_FLOW_KEY" in capsys.readouterr().err
