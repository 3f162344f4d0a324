"""The whole way on this machine: a real model answers a pipe, a person and another client, and is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from phichat.events import Piece, Reply, parse
from tests.cli.conftest import Run
from tests.cli.pty_session import session

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def here(smollm2: Path, folder: Path, process: Run) -> Iterator[Path]:
    """A folder with the model's weights at hand; what was started from it is stopped in the end."""
    yield folder
    assert process("down", "--yes").code == 0


def test_a_pipe_is_answered_by_a_server_that_stays(process: Run, here: Path) -> None:
    plan = process("deploy", "--dry-run")
    assert (plan.code, [line.split()[:2] for line in plan.out.splitlines()[:2]]) == (
        0,
        [["reused", "model"], ["planned", "server"]],
    )
    short = ("--max-new-tokens", "6", "--temperature", "0", "--json")
    done = process("chat", *short, stdin="Who founded Microsoft?\n")
    assert done.code == 0, done.err
    *pieces, reply = [parse(line) for line in done.out.splitlines()]
    assert isinstance(reply, Reply)
    assert reply.completion_tokens == 6
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == reply.text != ""

    status = process("status")
    assert status.out.splitlines()[-1].split() == ["smollm2", "server", "ready", "free"]
    again = process("chat", "-p", "Who founded Microsoft?", *short)
    repeated = parse(again.out.splitlines()[-1])
    assert isinstance(repeated, Reply)
    assert repeated.text == reply.text
    assert process("status").out == status.out, "the same server answered"

    values = dict(line.split("=", 1) for line in process("env").out.splitlines()[:2])
    bearer = {"Authorization": f"Bearer {values['OPENAI_API_KEY']}"}
    listed = httpx.get(f"{values['OPENAI_BASE_URL']}/models", headers=bearer, trust_env=False)
    assert listed.json()["data"][0]["id"] == "smollm2"

    assert process("down", "--yes").out == "smollm2\n"
    assert process("status").err == "Nothing is alive.\n"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{values['OPENAI_BASE_URL']}/models", headers=bearer, trust_env=False)


def test_a_person_stops_a_real_answer_and_goes_on(here: Path) -> None:
    with session("chat", "--max-new-tokens", "400", cwd=here) as terminal:
        terminal.until("> ", seconds=90)
        terminal.type("Tell me a long story about the sea.\n")
        terminal.until("sea.\r\n")
        terminal.until(" ")
        terminal.type("\x03")
        terminal.until("(stopped)")
        terminal.until("> ")
        terminal.type("/bye\n")
        assert terminal.ended() == 0
