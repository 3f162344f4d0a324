"""`phichat flow`: batches and evaluation on both engines, the server, and what is told about failures."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import metrics
from phichat.flowrunner import Environment
from phichat.flowrunner.promptflow import RETIRED
from tests.cli.conftest import Run
from tests.flows.conftest import files_in, free_port
from tests.flows.upstream import KEY, Upstream, deployed
from tests.plugins.install import write_metadata

pytestmark = pytest.mark.timeout(600)  # the first run of all makes the environment

ROWS = [
    {"question": "Who founded Microsoft?", "reference": "Bill Gates founded Microsoft."},
    {
        "messages": [
            {"role": "user", "content": "What is it?"},
            {"role": "assistant", "content": "what is it"},
        ]
    },
    {"question": "This is impossible now", "reference": "It is."},
    {
        "question": "And the capital?",
        "chat_history": [{"inputs": {"question": "France?"}, "outputs": {"answer": "Yes."}}],
        "ground_truth": "Paris",
    },
    {"question": "the\u2028end", "answer": "End!"},
]
SAID = ["Who founded Microsoft?", "What is it?", None, "And the capital?", "the\u2028end"]
"""What the deployment says to each."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with deployed() as running:
        yield running


@pytest.fixture
def asked(upstream: Upstream, project: Path, parrot: Path) -> Path:
    """A project over that deployment; five rows are in `rows.jsonl`."""
    write_metadata(parrot, "phichat-mouth", {"mouth": "tests.cli.mouth"})
    text = (project / "phichat.toml").read_text(encoding="utf-8").replace("parrot", "mouth", 1)
    text += f'[backends.mouth]\nurl = "{upstream.url}"\n'
    (project / "phichat.toml").write_text(text, encoding="utf-8")
    rows = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    (project / "rows.jsonl").write_text(rows, encoding="utf-8")
    upstream.asked.clear()
    return project


@pytest.fixture(params=["promptflow", "plain"])
def engine(request: pytest.FixtureRequest, environment: Environment) -> str:
    name: str = request.param
    return name


def read(text: str) -> list[dict[str, Any]]:
    """The objects of JSON lines, which end at line feeds and nowhere else."""
    return [json.loads(line) for line in text.split("\n") if line]


def state(project: Path) -> Path:
    return project / ".phichat"


def test_a_failed_line_is_a_failed_command(
    engine: str, asked: Path, phichat: Run, upstream: Upstream, home: Path
) -> None:
    done = phichat("flow", "run", "rows.jsonl", "--engine", engine, "--temperature", "0.25")
    assert (done.code, done.out) == (1, "4 done, 1 failed\n")
    assert "line 3: 9000 tokens are more than 4096.\n" in done.err
    run = state(asked) / "runs" / "flow-run"
    lines = read((run / "results.jsonl").read_text(encoding="utf-8"))
    assert [line["answer"] for line in lines] == SAID
    assert [line["line"] for line in lines if line["error"]] == [3]
    assert {body["temperature"] for body in upstream.asked} == {0.25}
    (told,) = [json.loads(line) for line in phichat("runs", "--json").out.splitlines()]
    assert (told["name"], told["state"], told["detail"]) == ("flow-run", "failed", "4 done, 1 failed")
    assert (told["spec"]["engine"], told["spec"]["deployment"]) == (engine, "polly")
    assert sorted(path.name for path in run.iterdir() if path.suffix != ".lock") == [
        "events.jsonl",
        "report.html",
        "results.jsonl",
        "run.json",
    ]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "4 done, 1 failed." in page and "9000 tokens" in page
    assert not re.search(r"(src|href|url|import)\s*[=(]", page), "it opens without a network"
    assert not [file for file in files_in(state(asked)) if KEY.encode() in file.read_bytes()]
    assert [file for file in files_in(home) if "phichat" not in file.parts] == []


def test_the_metrics_are_those_of_plain_python(
    engine: str, asked: Path, phichat: Run, upstream: Upstream
) -> None:
    good = "".join(f"{json.dumps(ROWS[at], ensure_ascii=False)}\n" for at in (0, 1, 3, 4))
    (asked / "good.jsonl").write_text(good, encoding="utf-8")
    done = phichat("flow", "evaluate", "good.jsonl", "--engine", engine, "--json")
    assert done.code == 0, done.err
    *lines, told = read(done.out)
    wanted = ["Bill Gates founded Microsoft.", "what is it", "Paris", "End!"]
    expected = [metrics.judge(str(SAID[at]), wanted[i]) for i, at in enumerate((0, 1, 3, 4))]
    assert [line["metrics"] for line in lines] == expected
    assert told["metrics"] == metrics.summary(expected)
    assert expected[1]["exact_match"] == 1 and 0 < told["metrics"]["f1"] < 1
    assert (told["done"], told["failed"]) == (4, 0)
    assert {body["temperature"] for body in upstream.asked} == {0}, "the same numbers every time"
    assert phichat("runs").out.splitlines()[1].split()[:2] == ["flow-evaluate", "succeeded"]


def test_numbers_for_people_and_what_has_no_reference(asked: Path, phichat: Run) -> None:
    (asked / "rows.jsonl").write_text(
        '{"question": "the end"}\n{"question": "Hm", "answer": "Hm"}\n', "utf-8"
    )
    done = phichat("flow", "evaluate", "rows.jsonl", "--engine", "plain")
    assert done.code == 1
    _, *rows, last = done.out.splitlines()
    assert [row.split() for row in rows] == [
        ["Exact", "match", "1.000"],
        ["F1", "1.000"],
        ["Similarity", "1.000"],
    ]
    assert last == "1 done, 1 failed"
    assert "line 1: It does not say which answer is wanted" in done.err


def test_the_held_out_rows_are_evaluated_by_default(asked: Path, phichat: Run, upstream: Upstream) -> None:
    done = phichat("flow", "evaluate", "--engine", "plain")
    assert (done.code, done.out) == (1, "")
    assert "phichat data" in done.err
    talks = [[("system", "Count."), ("user", f"Is it {n}?"), ("assistant", f"It is {n}.")] for n in range(10)]
    rows = [{"messages": [{"role": role, "content": text} for role, text in talk]} for talk in talks]
    (asked / "talks.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert phichat("data", "talks.jsonl", "--no-tokens").code == 0
    assert phichat("flow", "evaluate", "--engine", "plain", "--limit", "1").code == 0
    (body,) = upstream.asked
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not JSON", "It is not JSON"),
        ("[1]", "It is not a JSON object."),
        ('{"text": "Hm?"}', "It has neither `question` nor `messages`."),
        ('{"messages": [{"role": "assistant", "content": "Hm"}]}', "do not alternate"),
        ('{"messages": "Hm?"}', "must be a list of messages"),
        ('{"question": "Hm?", "chat_history": 5}', "`chat_history` must be a list"),
        ('{"question": "Hm?", "chat_history": [5]}', "`chat_history[0]` must be"),
    ],
)
def test_a_line_that_is_no_question_is_a_failed_line(asked: Path, phichat: Run, line: str, why: str) -> None:
    (asked / "rows.jsonl").write_text(f'{line}\n\n{{"question": "Hm?"}}\n', encoding="utf-8")
    done = phichat("flow", "run", "rows.jsonl", "--engine", "plain")
    assert (done.code, done.out) == (1, "1 done, 1 failed\n")
    assert "line 1: " in done.err and why in done.err


def test_a_table_is_refused_once_before_anything_is_run(
    asked: Path, phichat: Run, upstream: Upstream
) -> None:
    rows = "".join(f"Who is {name}?,It is {name}.\n" for name in ("Ann", "Bo", "Cy"))
    (asked / "table.csv").write_text(f"question,answer\n{rows}", encoding="utf-8")
    done = phichat("flow", "run", "table.csv", "--engine", "plain")
    assert (done.code, done.out) == (1, "") and done.err.count("It is not JSON") == 1
    assert "table.csv has no questions as JSON lines. Line 1: " in done.err
    assert "'phichat data FILE' makes train.jsonl and eval.jsonl" in done.err
    assert phichat("status").out == "" and phichat("runs").out == "", "no model, no run"
    assert not upstream.asked
    assert phichat("data", "table.csv", "--no-tokens").code == 0
    (made,) = state(asked).glob("data/*/train.jsonl")
    assert phichat("flow", "run", str(made), "--engine", "plain").code == 0


def test_a_file_that_is_not_there_deploys_nothing(asked: Path, phichat: Run) -> None:
    done = phichat("flow", "run", "nothing.jsonl", "--engine", "plain")
    assert done.code == 1 and "nothing.jsonl cannot be read" in done.err
    (asked / "rows.jsonl").write_text("\n", encoding="utf-8")
    assert "has no rows" in phichat("flow", "run", "rows.jsonl", "--engine", "plain").err
    assert phichat("status").out == ""


@pytest.mark.parametrize("action", [("serve",), ("run", "rows.jsonl"), ("evaluate", "rows.jsonl")])
def test_without_setup_it_says_so_and_does_nothing(
    action: tuple[str, ...], asked: Path, phichat: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PHICHAT_CACHE", str(tmp_path / "empty"))
    done = phichat("flow", *action)
    assert (done.code, done.out) == (2, "")
    assert "phichat flow setup" in done.err and "--engine plain" in done.err
    assert phichat("status").out == ""


def test_setup_again_does_nothing(environment: Environment, asked: Path, phichat: Run) -> None:
    before = (environment.folder / "ready").stat().st_mtime_ns
    done = phichat("flow", "setup")
    assert (done.code, done.out, done.err) == (0, "", f"Prompt flow is in {environment.folder}.\n")
    assert RETIRED not in done.err, "that is told once, when it is made"
    assert (environment.folder / "ready").stat().st_mtime_ns == before


def test_a_server_is_alive_until_it_is_stopped(
    asked: Path, phichat: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_FLOW_KEY", "of an exported flow")
    port = str(free_port())
    serve = ("flow", "serve", "--engine", "plain", "--port", port, "--detach")
    first = phichat(*serve)
    assert (first.code, first.out) == (0, f"http://127.0.0.1:{port}\n")
    try:
        answer = httpx.post(f"{first.out.strip()}/score", json={"question": "Who are you?"})
        assert answer.json() == {"answer": "Who are you?"}
        pid = serving(int(port)).pid
        assert "runs already" in phichat(*serve).err
        assert serving(int(port)).pid == pid
        assert ["flow", "flow", "server", "plain", "at", first.out.strip(), "free"] in [
            line.split() for line in phichat("status").out.splitlines()
        ]
        assert "runs on plain" in phichat(*serve, "--temperature", "0.1").err, "asked otherwise, another one"
        assert serving(int(port)).pid != pid
    finally:
        stopped = phichat("down", "flow", "--yes")
    assert (stopped.code, stopped.out) == (0, "flow\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(first.out.strip())
    assert "flow server" not in phichat("status").out


def test_a_port_that_is_taken(asked: Path, phichat: Run, upstream: Upstream) -> None:
    port = httpx.URL(upstream.url).port
    done = phichat("flow", "serve", "--engine", "plain", "--port", str(port))
    assert (done.code, done.out) == (2, "")
    assert f"Port {port} of this machine cannot be used" in done.err


def test_ctrl_c_ends_the_server(asked: Path, phichat: Run) -> None:
    port = free_port()
    command = [sys.executable, "-m", "phichat", "flow", "serve", "--engine", "plain", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == f"http://127.0.0.1:{port}\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Ctrl-C stops it." in told and "Stopped." in told
    assert "flow server" not in phichat("status").out


def test_ctrl_c_of_whoever_only_watches_ends_nothing(asked: Path, phichat: Run) -> None:
    port = free_port()
    command = [sys.executable, "-m", "phichat", "flow", "serve", "--engine", "plain", "--port", str(port)]
    served, watched = process_of(command), process_of(command)
    watched.send_signal(signal.SIGINT)
    _, told = watched.communicate(timeout=60)
    assert watched.returncode == 130
    assert "runs already" in told and "Ctrl-C" not in told
    assert told.endswith("The flow server runs on. Stop it: phichat down flow\n\n")
    assert "flow server" in phichat("status").out
    assert served.poll() is None, "whoever started it is left alone"
    assert phichat("down", "flow", "--yes").code == 0
    _, told = served.communicate(timeout=60)
    assert (served.returncode, told.splitlines()[-1]) == (0, "The flow server was stopped from elsewhere.")


def test_a_server_that_ends_by_itself_is_a_failed_command(asked: Path, phichat: Run) -> None:
    port = free_port()
    command = [sys.executable, "-m", "phichat", "flow", "serve", "--engine", "plain", "--port", str(port)]
    process = process_of(command)
    serving(port).kill()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "phichat: The flow server ended" in told


def process_of(command: list[str]) -> subprocess.Popen[str]:
    """A process that has said its first line."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline()
    return process


def serving(port: int) -> psutil.Process:
    """The process that listens on a port."""
    (found,) = [
        each
        for each in psutil.net_connections("tcp")
        if each.laddr[1:] == (port,) and each.status == "LISTEN"
    ]
    return psutil.Process(found.pid)
