"""`phichat runs`, `logs`, `fetch`, `eval` and `deploy` of a run: what was trained, and what to do with it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from phichat.events import Metric
from tests.cli import pupil
from tests.cli.conftest import Run

UNEXAMINED = ("--set", "backends.pupil.examined=false")


def test_nothing_was_trained_yet(phichat: Run, school: Path) -> None:
    done = phichat("runs")
    assert (done.code, done.out, done.err) == (0, "", "Nothing was trained yet: phichat train\n")
    for verb in ("watch", "cancel", "logs", "fetch", "eval"):
        done = phichat(verb)
        assert (done.code, done.out) == (1, "")
        assert done.err == "phichat: Nothing was trained yet.\n  phichat train\n"


def test_runs_are_a_table(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "old")
    phichat("train", "--name", "new", "--set", "backends.pupil.ends=failed")
    head, new, old = (line.split() for line in phichat("runs").out.splitlines())
    assert head == ["RUN", "STATE", "MODEL", "BACKEND", "STARTED", "TOOK", "EVAL", "LOSS"]
    assert new[:4] == ["new", "failed", str(school / "model"), "pupil"]
    assert old[:2] == ["old", "succeeded"]
    assert old[-3:] == ["3.000", "→", "1.500"]


def test_the_win_rate_of_a_run_is_shown_where_anybody_voted(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "old")
    phichat("train", "--name", "new", "--seed", "1")
    told = {"left": "base: model", "right": "tuned: new", "question": "?", "answers": ["", ""]}
    votes = school / ".phichat" / "runs" / "new" / "votes.jsonl"
    lines = [json.dumps({**told, "winner": winner}) for winner in ("right", "right", "left", "tie")]
    votes.write_text("\n".join(lines) + "\n", encoding="utf-8")
    head, new, old = (line.split() for line in phichat("runs").out.splitlines())
    assert (head[-1], new[-3:], old[-1]) == ("WINS", ["62%", "of", "4"], "1.500")
    new_facts, old_facts = (json.loads(line) for line in phichat("runs", "--json").out.splitlines())
    assert new_facts["votes"] == {"left": 1, "right": 2, "ties": 1, "win_rate": 0.625}
    assert old_facts["votes"] is None
    last = phichat("eval", "new").out.splitlines()[-1]
    assert last.split() == ["preferred", "by", "people", "(4", "votes)", "38%", "62%"]


def test_a_run_is_seen_to_have_ended_though_nobody_watched(phichat: Run, school: Path) -> None:
    phichat("train", "--detach", "--name", "alone")
    assert phichat("runs").out.splitlines()[1].split()[:2] == ["alone", "succeeded"]


def test_what_is_under_way_is_what_cancel_means(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "mine", "--set", "backends.pupil.ends=failed")
    phichat("train", "--name", "other", "--seed", "1")
    ledger = school / ".phichat" / "runs" / "mine" / "run.json"
    told = json.loads(ledger.read_text("utf-8"))
    ledger.write_text(json.dumps({**told, "state": "running", "ended": None}), encoding="utf-8")
    slow = ("--set", "backends.pupil.slow=forever")
    done = phichat("cancel", "other", *slow)
    assert (done.code, done.out) == (1, "other\n")
    assert done.err.endswith("it succeeded.\n  But mine is under way. To end it: phichat cancel mine\n")
    done = phichat("cancel", *slow)
    assert (done.code, done.out) == (0, "mine\n")
    assert phichat("cancel", "other").code == 0, "nothing is missed"


def test_a_run_without_a_model_is_not_evaluated(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "poor", *UNEXAMINED, "--set", "backends.pupil.ends=cancelled")
    done = phichat("eval", "poor", *UNEXAMINED)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "phichat: The run 'poor' was cancelled: it has made no model.\n"
        "  To train on from its last checkpoint: phichat train --name poor\n"
    )
    assert len(phichat("runs").out.splitlines()) == 2, "no run of an evaluation"


def test_runs_as_json(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "one")
    (line,) = phichat("runs", "--json").out.splitlines()
    told = json.loads(line)
    assert (told["kind"], told["name"], told["state"]) == ("run", "one", "succeeded")
    assert told["eval_losses"] == [3.0, 1.5]
    assert told["evaluation"]["tuned"] == {"loss": 1.5, "perplexity": 4.4817, "probes_right": 0.8}
    assert told["spec"]["dataset"]["train_rows"] == 7


def test_a_loss_that_is_no_number_is_told_as_events_tell_it(
    phichat: Run, school: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Metric(step=0, total=4, values={"eval_loss": math.nan})
    monkeypatch.setattr(pupil, "TRAINING", [lost, *pupil.TRAINING])
    phichat("train", "--name", "lost")
    told = json.loads(phichat("runs", "--json").out, parse_constant=pytest.fail)
    assert told["eval_losses"] == ["NaN", 3.0, 1.5]


def test_a_run_elsewhere_is_listed_but_asked_about_there(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "mine")
    assert phichat("runs", "--backend", "parrot").out.splitlines()[1].split()[0] == "mine"
    done = phichat("watch", "mine", "--backend", "parrot")
    assert done.code == 2
    assert done.err == "phichat: The run 'mine' is on backend 'pupil'.\n  Add --backend pupil\n"
    assert phichat("watch", "--backend", "parrot").code == 1, "there is none here"


def test_a_log_in_colour_is_readable_on_a_terminal(
    phichat: Run, school: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def logs(_: pupil.PupilBackend, what: object) -> AsyncGenerator[str, None]:
        yield "\x1b[32mstep 1\rstep 2\x1b[0m\x1b]0;mine\x07"

    monkeypatch.setattr(pupil.PupilBackend, "logs", logs)
    phichat("train")
    assert phichat("logs").out == "\x1b[32mstep 1\rstep 2\x1b[0m\x1b]0;mine\x07\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert phichat("logs").out == "step 1\nstep 2␛]0;mine␇\n"


def test_logs_and_a_model_of_the_newest_run(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "one")
    phichat("train", "--name", "two", "--seed", "1")
    assert phichat("logs").out == "a line of the log\n"
    done = phichat("fetch")
    assert (done.code, done.out) == (0, f"{school / 'two'}\n")
    assert (school / "two" / "notes").read_text("utf-8") == "two"
    assert phichat("fetch", "one", "there").out == f"{school / 'there'}\n"
    assert (school / "there" / "notes").read_text("utf-8") == "one"
    phichat("train", "--name", "poor", "--seed", "2", "--set", "backends.pupil.ends=failed")
    assert phichat("fetch", "-C", str(school)).out == f"{school / 'two'}\n", (
        "the newest that has made a model"
    )
    assert phichat("fetch", "three").err == "phichat: There is no run 'three'.\n  phichat runs\n"


def test_an_evaluation_that_is_known_is_shown(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "one")
    done = phichat("eval")
    assert done.code == 0
    assert done.out.splitlines()[1].split() == ["perplexity", "20.085", "4.482"]
    assert done.err.startswith("It helped: perplexity 20.09 → 4.48")
    assert done.err.endswith(".\nReport: /books/report.html\n")
    assert len(phichat("runs").out.splitlines()) == 2, "nothing was run"


def test_an_evaluation_that_is_missing_is_made_once(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "one", *UNEXAMINED)
    for _ in range(2):
        told = json.loads(phichat("eval", "one", "--json", *UNEXAMINED).out.splitlines()[-1])
        assert (told["kind"], told["run"], told["report"]) == ("evaluation", "one", "/books/report.html")
        assert told["base"]["probes_right"] == 0
    assert [line.split()[0] for line in phichat("runs").out.splitlines()[1:]] == ["one-eval", "one"]
    spec = json.loads((school / ".phichat" / "pupil" / "lessons" / "one-eval.json").read_text("utf-8"))
    assert spec["model"]["id"] == "one"
    assert spec["settings"]["max_length"] == 2048
    assert len(spec["settings"]["probes"]) == 3, "the questions that were held out"


def test_an_evaluation_that_fails_says_why(phichat: Run, school: Path) -> None:
    phichat("train", "--name", "one", *UNEXAMINED)
    done = phichat("eval", *UNEXAMINED, "--set", "backends.pupil.ends=failed")
    assert (done.code, done.out) == (1, "")
    assert done.err == "phichat: one-eval failed: It fell asleep.\n  phichat logs one-eval\n"
    done = phichat("watch", "one-eval", "--set", "backends.pupil.ends=failed")
    assert done.err.endswith("phichat logs one-eval; once more: phichat eval\n")


def test_without_held_out_rows_there_is_nothing_to_evaluate_on(phichat: Run, school: Path) -> None:
    rows = (school / "rows.jsonl").read_text("utf-8").splitlines()[:1]
    (school / "one.jsonl").write_text(f"{rows[0]}\n", encoding="utf-8")
    assert phichat("data", "one.jsonl", "--no-tokens").code == 0
    phichat("train", "--name", "one", *UNEXAMINED)
    done = phichat("eval", *UNEXAMINED)
    assert done.code == 1
    assert "has no held-out rows" in done.err


def test_who_names_the_base_model_learns_that_a_tuned_one_answers(phichat: Run, school: Path) -> None:
    assert phichat("train", "--name", "one").code == 0
    assert phichat("deploy").code == 0
    base = str(school / "model")
    told = f"polly answers, tuned from {base}. To ask {base} itself: phichat deploy {base}\n"
    assert told in phichat("chat", "-p", "Hello", "--model", base).err
    assert "tuned" not in phichat("chat", "-p", "Hello").err
    assert phichat("deploy", base).code == 0
    assert "tuned" not in phichat("chat", "-p", "Hello", "--model", base).err


def test_deploy_means_the_newest_run_that_succeeded(phichat: Run, school: Path) -> None:
    base = str(school / "model")

    def deployed(*argv: str) -> str:
        assert phichat("deploy", *argv).code == 0
        return phichat("status").out.splitlines()[1].split()[1]

    assert deployed() == base
    phichat("train", "--name", "one")
    phichat("train", "--name", "two", "--set", "backends.pupil.ends=failed")
    assert "one" in deployed()
    phichat("train", "--name", "three", "--detach")
    assert "three" in deployed(), "it has ended, though nobody watched"
    assert "one" in deployed("one")
    assert deployed("smollm2") == "smollm2"
    assert deployed("--set", "base_model=smollm2") == "smollm2", "the runs are of another base model"
    assert phichat("deploy", "four").code == 2
    assert phichat("deploy", "thre").err.endswith("  Did you mean the run three?\n")
