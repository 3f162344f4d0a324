"""`phichat deploy`, `env`, `status` and `down`: what is alive, what it costs, and who may spend or delete."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phichat.backends.base import Estimate
from phichat.backends.process import ProcessJobs
from phichat.workflow import Project
from phichat.workflow.estimates import price
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("project")

PAID = ("--set", "backends.parrot.usd_per_hour=2.5")


def test_what_is_free_is_deployed_at_once(phichat: Run, project: Path) -> None:
    done = phichat("deploy")
    assert (done.code, done.out) == (0, "polly\n")
    assert phichat("deploy", "smollm2", "--name", "second").out == "second\n"
    rows = [line.split() for line in phichat("status").out.splitlines()]
    assert rows[1] == ["polly", str(project / "model"), "yes"]
    assert rows[2] == ["second", "smollm2", "yes", "yes"], "what was deployed last is the current one"
    assert rows[-2:] == [["polly", "parrot", "awake", "free"], ["second", "parrot", "awake", "free"]]


def test_where_requests_are_not_shared_there_is_no_traffic(phichat: Run) -> None:
    phichat("deploy")
    phichat("deploy", "smollm2", "--name", "second")
    told = "A parrot shares no requests among deployments."
    shown = phichat("traffic")
    assert shown.code == 0 and "%" not in shown.out and "TRAFFIC" not in shown.out
    assert shown.err.startswith(f"{told} Let another one answer the chats: phichat deploy RUN|MODEL")
    for line in (["traffic", "polly=50", "second=50"], ["rollback"]):
        done = phichat(*line)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"phichat: {told}\n  Let another one answer the chats: phichat deploy")
    lines = [json.loads(line) for line in phichat("status", "--json").out.splitlines()]
    assert [line["current"] for line in lines if line["kind"] == "deployment"] == [False, True]
    phichat("deploy")
    assert phichat("status").out.splitlines()[1].split()[2:] == ["yes", "yes"], "it answers again"


def test_what_costs_money_is_asked_about(phichat: Run) -> None:
    done = phichat("deploy", *PAID)
    assert done.code == 2
    assert "costs US$2.50 an hour while it is alive (the pet shop)" in done.err
    assert "--yes" in done.err
    assert phichat("deploy", *PAID, typed="\n").code == 1
    assert phichat("deploy", *PAID, typed="").code == 1, "the end of input is a no"
    assert phichat("status").out == ""
    assert phichat("deploy", *PAID, typed="yes\n").code == 0
    assert phichat("deploy", *PAID, "--yes").code == 0
    assert phichat("status", *PAID).out.splitlines()[-1].endswith("awake  US$2.50 an hour")


def test_another_deployment_answers_where_it_is_named(phichat: Run, project: Path) -> None:
    phichat("deploy")
    phichat("deploy", "smollm2", "--name", "second")
    phichat("deploy")
    named = ("-p", "Hello", "--deployment", "second")
    (reply,) = [line for line in phichat("chat", *named, "--json").out.splitlines() if '"reply"' in line]
    assert "Hello" in reply
    done = phichat("chat", "-p", "Hello", "--deployment", "third")
    assert done.code == 2 and "No deployment is called 'third'." in done.err
    assert "There are: polly, second." in done.err
    assert phichat("env", "--deployment", "second").code == 0
    current = (project / ".phichat" / "current" / "parrot.json").read_text(encoding="utf-8")
    assert '"id":"polly"' in current, "it was for these commands only"


def test_a_dry_run_shows_the_steps_and_the_price(phichat: Run) -> None:
    done = phichat("deploy", "--dry-run", *PAID)
    assert done.code == 0
    assert done.out == "reused    cage\nplanned   parrot  grey\n"
    assert done.err == "Cost: US$2.50 an hour while it is alive (the pet shop).\n"
    assert phichat("deploy", "--dry-run").err == "Cost: nothing.\n"
    assert phichat("status").out == ""


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (Estimate(usd=(0, 0)), ""),
        (Estimate(), "nobody knows how much"),
        (Estimate(usd=(0, 0), usd_per_hour=2.5), "US$2.50 an hour while it is alive"),
        (Estimate(usd=(1, 2), source="a list"), "US$1.00 to 2.00 (a list)"),
        (Estimate(usd=(1, 2), usd_per_hour=3), "US$1.00 to 2.00, then US$3.00 an hour while it is alive"),
    ],
)
def test_a_price_for_people(estimate: Estimate, told: str) -> None:
    assert price(estimate) == told


def test_who_does_not_wait_is_told_that_it_costs_on(phichat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*given: object, **named: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    monkeypatch.setattr(Project, "deploy", interrupted)
    done = phichat("deploy", *PAID, "--yes")
    assert done.code == 130
    assert "goes on, and costs. The same command waits for it." in done.err and "phichat down" in done.err
    assert "costs" not in phichat("deploy").err


def test_an_unknown_model_is_wrong_usage(phichat: Run) -> None:
    assert phichat("deploy", "smolm2").code == 2


def test_status_as_json(phichat: Run, project: Path) -> None:
    phichat("deploy")
    lines = [json.loads(line) for line in phichat("status", "--json").out.splitlines()]
    assert [line["kind"] for line in lines] == ["deployment", "resource", "spending"]
    assert (lines[0]["deployment"]["id"], lines[0]["model"]) == ("polly", str(project / "model"))
    assert (lines[1]["type"], lines[1]["name"], lines[1]["usd_per_hour"]) == ("parrot", "polly", 0)


def test_nothing_alive_is_no_error(phichat: Run) -> None:
    for done in (phichat("status"), phichat("down", "--yes")):
        assert (done.code, done.out, done.err) == (0, "", "Nothing is alive.\n")


def test_what_was_started_before_there_was_a_project_is_told(
    phichat: Run, folder: Path, project: Path, home: Path
) -> None:
    servers = ProcessJobs(home / "phichat" / "data" / "default" / "local" / "servers")
    servers.start("smollm2", [sys.executable, "-c", "import time; time.sleep(600)"])
    command = f"phichat down -C {folder.anchor} --backend local"
    told = f"Outside of projects server smollm2 is alive. Stop it: {command}\n"
    for done in (phichat("status"), phichat("down", "--yes")):
        assert (done.code, done.out, done.err) == (0, "", f"Nothing of this project is alive.\n{told}")
    assert json.loads(phichat("status", "--json").out.splitlines()[0])["kind"] == "outside"
    phichat("deploy")
    assert phichat("status").err == told
    done = phichat("down", "--yes")
    assert (done.out, done.err) == ("polly\n", told)
    assert phichat(*command.split()[1:], "--yes").out == "smollm2\n"
    assert phichat("status").err == "Nothing is alive.\n"


def test_down_asks_first(phichat: Run) -> None:
    phichat("deploy")
    done = phichat("down")
    assert done.code == 2
    assert "Stop and delete parrot polly?" in done.err
    assert phichat("down", typed="n\n").code == 1
    assert "polly" in phichat("status").out
    done = phichat("down", typed="y\n")
    assert (done.code, done.out) == (0, "polly\n")
    assert phichat("status").out == ""


def test_down_takes_only_what_was_named(phichat: Run) -> None:
    phichat("deploy")
    phichat("deploy", "--name", "second")
    done = phichat("down", "third", "--yes")
    assert done.code == 2
    assert done.err == "phichat: Nothing named 'third' is alive.\n  Alive: polly, second.\n"
    assert phichat("down", "polly", "--yes").out == "polly\n"
    assert phichat("status").out.splitlines()[-1].startswith("second")


def test_env_serves_the_shell_and_its_children(phichat: Run, tmp_path: Path) -> None:
    done = phichat("env")
    assert done.code == 0
    assert done.out.splitlines()[0] == "OPENAI_BASE_URL=http://127.0.0.1:9/v1"
    show = f"{sys.executable} -c 'import os; print(os.environ[\"OPENAI_API_KEY\"])'"
    shown = subprocess.run(
        ["/bin/sh", "-c", f'eval "$({sys.executable} -m phichat env)" && {show}'],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert shown.stdout == "polly wants '$x'\n"


def test_env_for_powershell(phichat: Run) -> None:
    done = phichat("env", "--shell", "powershell")
    assert (
        done.out
        == "$env:OPENAI_BASE_URL = 'http://127.0.0.1:9/v1'\n$env:OPENAI_API_KEY = 'polly wants ''$x'''\n"
    )


def test_env_of_what_is_not_deployed_prints_nothing(phichat: Run) -> None:
    done = phichat("env", *PAID)
    assert (done.code, done.out) == (1, "")
    assert "phichat deploy" in done.err


def test_a_deployment_is_stopped_by_its_price_of_a_day(phichat: Run) -> None:
    done = phichat("deploy", *PAID, "--yes", "--max-cost", "59")
    assert done.code == 1 and "costs US$60.00 in a day, and --max-cost is US$59.00." in done.err
    done = phichat("deploy", *PAID, "--yes", "--set", "backends.parrot.budget=1")
    assert done.code == 1 and "US$1.00 of the budget of US$1.00 is left" in done.err
    assert phichat("status").out == ""
    assert phichat("deploy", *PAID, "--yes", "--max-cost", "60").code == 0
    done = phichat("status", *PAID, "--set", "backends.parrot.budget=100")
    assert done.err == (
        "Jobs of this project: 0.0 h, US$0.00 by list price; what is alive: US$2.50 an hour; "
        "left of the budget: US$100.00.\n"
    )
