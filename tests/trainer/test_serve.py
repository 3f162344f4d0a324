"""The server process: its life from the first line to the last."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import serve
from tests.trainer import answers
from tests.trainer.servers import KEY, SERVE, ServerProcess, ready, started

QUESTION = {"messages": [{"role": "user", "content": "Who founded Microsoft?"}], "temperature": 0}
STREAMED = {**QUESTION, "stream": True}


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answers.endless(tmp_path_factory.mktemp("endless"), max_position_embeddings=100_000)


@pytest.fixture(scope="module")
def server(endless: Path) -> Iterator[ServerProcess]:
    with (endless / "errors").open("w+", encoding="utf-8") as errors:
        with ready("--model", endless, errors=errors) as server:
            yield server
        errors.seek(0)
        assert "Traceback" not in errors.read()


def test_its_life(tiny_phi3: Path) -> None:
    """It listens at once, loads, gets idle and ends by itself."""
    with started("--model", tiny_phi3, "--name", "tiny", "--idle-stop", "0.5") as server:
        with server.client() as client:
            assert (answer := client.get("/health")).status_code == 503
            assert answer.json() == {"status": "loading"}
            assert (answer := client.post("/v1/chat/completions", json=QUESTION)).status_code == 503
            assert answer.json()["error"]["code"] == "loading"
        assert server.wait_until_ready() == {"status": "ready", "model": "tiny", "context": 1024}
        events = [server.next_event() for _ in range(3)]
        assert [event["kind"] for event in events] == ["status"] * 3
        assert [event["state"] for event in events] == ["preparing", "running", "succeeded"]
        assert events[-1]["detail"] == "Nobody asked anything for 0.5 s."
        assert server.wait() == 0


def test_a_question_keeps_it_awake(endless: Path) -> None:
    with (
        ready("--model", endless, "--idle-stop", "0.5") as server,
        server.client() as client,
        client.stream("POST", "/v1/chat/completions", json=STREAMED) as stream,
    ):
        began = time.monotonic()
        for _ in stream.iter_lines():
            if time.monotonic() > began + 1.5:
                break
        assert server.process.poll() is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_sigterm_ends_the_answers_then_the_server(endless: Path) -> None:
    with ready("--model", endless) as server, server.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=STREAMED) as stream:
            lines = stream.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            rest = [line for line in lines if line]
        assert '"finish_reason":"cancelled"' in rest[-2]
        assert rest[-1] == "data: [DONE]"
        assert server.wait() == 0
        assert time.monotonic() - began < 5  # about half a second on a machine with nothing else to do
        assert server.last_event().items() >= {"state": "cancelled", "detail": "Stopped by SIGTERM."}.items()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_sigterm_while_loading(tiny_phi3: Path) -> None:
    with started("--model", tiny_phi3) as server:
        with server.client() as client:
            assert client.get("/health").status_code == 503
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.last_event()["state"] == "cancelled"


@pytest.mark.parametrize("body", [STREAMED, QUESTION], ids=["streamed", "whole"])
def test_a_client_that_goes_away_stops_its_answer(server: ServerProcess, body: dict[str, Any]) -> None:
    process = psutil.Process(server.process.pid)
    with server.client() as client, socket.create_connection(server.address) as wire:
        request = client.build_request("POST", "/v1/chat/completions", json=body)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        wire.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + request.content)
        _until(lambda: _cpu_seconds(process, 0.5) > 0.05, "the model does not begin")
    _until(lambda: _cpu_seconds(process, 0.5) < 0.05, "the model goes on for nobody")


def test_a_client_that_goes_away_before_it_has_asked(server: ServerProcess) -> None:
    """That is nothing to write a traceback about, which the fixture looks for."""
    with socket.create_connection(server.address) as wire:
        head = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 100"
        wire.sendall(f"POST /score HTTP/1.1\r\n{head}\r\n\r\n{{".encode())
    with server.client() as client:
        assert client.get("/health").is_success


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + answers.DEADLINE
    while not condition():
        assert time.monotonic() < end, otherwise


def _cpu_seconds(process: psutil.Process, seconds: float) -> float:
    """What the process computes in a while; there is nothing else to see an answer by that nobody reads."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with started("--model", tmp_path / "nowhere") as server:
        assert server.wait() == 1
        last = server.last_event()
        assert (last["kind"], last["state"]) == ("status", "failed")
        assert last["detail"] == f"There is no folder {tmp_path / 'nowhere'}."


def test_azure_says_where_the_model_is(tiny_phi3: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_phi3, tmp_path / "INPUT_model" / "model")
    body = {"input_data": ["Hi"], "params": {"max_new_tokens": 2}}
    with (
        ready("--no-key", environ={"AZUREML_MODEL_DIR": str(tmp_path)}) as server,
        server.client(key=None) as client,
    ):
        assert client.get("/v1/models").json()["data"][0]["id"] == tmp_path.name
        assert client.post("/score", json=body).is_success


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has priorities of another kind")
def test_others_go_first(tiny_phi3: Path) -> None:
    with started("--model", tiny_phi3) as server, server.client() as client:
        client.get("/health")
        assert psutil.Process(server.process.pid).nice() == max(os.nice(0), serve.NICENESS)


def run(*arguments: str | Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SERVE, *map(str, arguments)],
        env={**os.environ, "PHICHAT_SERVE_KEY": key},
        capture_output=True,
        text=True,
        timeout=answers.DEADLINE,
        check=False,
    )


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--model", tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "Cannot listen on 127.0.0.1:" in done.stdout
    assert done.stderr == ""


def test_without_a_key_it_does_not_start(tmp_path: Path) -> None:
    done = run("--model", tmp_path, key="")
    assert done.returncode == 2
    assert "set PHICHAT_SERVE_KEY, or give --no-key" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which model? Give --model DIR, or set AZUREML_MODEL_DIR."),
        (["--model", "x", "--port", "70000"], "argument --port: must be from 0 to 65535"),
        (["--model", "x", "--threads", "0"], "argument --threads: must be at least 1"),
        (["--model", "x", "--idle-stop", "-1"], "argument --idle-stop: must be 0 or more"),
        (["--model", "x", "--cache-bytes", "many"], "argument --cache-bytes: invalid"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        serve.parse_arguments(arguments, {serve.KEY_VARIABLE: KEY})
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_help_loads_nothing() -> None:
    code = "import sys; import serve; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=SERVE.parent, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "starlette", "uvicorn"} & set(done.stdout.split())
    assert run("--help").returncode == 0


class Priorities:
    """psutil as it is on Windows."""

    BELOW_NORMAL_PRIORITY_CLASS = 16384
    Error = psutil.Error

    def __init__(self) -> None:
        self.given: list[int] = []

    def Process(self) -> Priorities:  # noqa: N802
        return self

    def nice(self, value: int) -> None:
        self.given.append(value)


def test_priority_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Priorities()
    monkeypatch.setitem(sys.modules, "psutil", windows)
    serve.yield_to_others("win32")
    assert windows.given == [16384]
