"""`phichat train`: what is asked, told and remembered, with a backend that learns nothing quickly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phichat.errors import AuthError
from phichat.events import Status, Step, parse
from tests.cli import pupil
from tests.cli.conftest import Run
from tests.cli.pty_session import session


def facts(phichat: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in phichat("runs", "--json").out.splitlines()]


def test_a_run_is_followed_to_its_end(phichat: Run, school: Path) -> None:
    done = phichat("train")
    name = done.out.strip()
    assert done.code == 0 and name.startswith("model-")
    told = done.err.splitlines()
    assert f"{name}: an adapter (lora) of {school / 'model'}, 7 conversations, 3 held out." in told
    assert "It takes about 60 s to 10 min, 1.1 GB to 2.1 GB of memory (8.6 GB free): " in done.err
    first = told.index("step 0 of 4: eval loss 3.000")
    assert told[first + 1] == "  “Who are you?” → “A bird.”", "one answer is enough"
    last = told.index("step 4 of 4: eval loss 1.500")
    assert told[last + 1] == "  “Who are you?” → “Captain Pelican, of Phi Island.”"
    assert "Where are you?" not in done.err
    assert told[-8:] == [
        "It knows it by heart.",
        "                       BASE    TUNED",
        "perplexity             20.085  4.482",
        "loss of a token        3.000   1.500",
        "probes answered right  0%      80%",
        "It helped: perplexity 20.09 → 4.48, probes 0% → 80%.",
        "Report: /books/report.html",
        "Next: phichat deploy, then phichat chat",
    ]


def test_a_single_row_is_told_as_one(phichat: Run, school: Path) -> None:
    rows = (school / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (school / "rows.jsonl").write_text(rows[0], encoding="utf-8")
    assert phichat("data", "rows.jsonl", "--no-tokens").code == 0
    told = phichat("train", "--dry-run", "--max-steps", "1").err
    assert f" of {school / 'model'}, 1 conversation.\nAbout 1 step of 1 row.\n" in told


def test_the_same_work_is_done_once_unless_again(phichat: Run, school: Path) -> None:
    name = phichat("train").out.strip()
    done = phichat("train")
    assert (done.code, done.out) == (0, f"{name}\n")
    assert done.err == f"{name} is done already. To train once more: phichat train --again\n"
    assert phichat("train", "--again").out == f"{name}-2\n"
    other = phichat("train", "--epochs", "7").out.strip()
    assert other.startswith("model-") and other != name
    assert [run["name"] for run in facts(phichat)] == [other, f"{name}-2", name]


def test_a_name_means_one_work(phichat: Run, school: Path) -> None:
    assert phichat("train", "--name", "mine", "--epochs", "7").out == "mine\n"
    done = phichat("train", "--name", "mine", "--epochs", "8")
    assert done.code == 2
    assert "There is a run 'mine' already, with another epochs." in done.err
    assert phichat("train", "--name", "mine", "--epochs", "7", "--log-steps", "3").code == 0
    assert phichat("train", "--name", "mine", "--epochs", "8", "--again").out == "mine-2\n"


def test_every_setting_of_the_trainer_has_a_flag(phichat: Run, school: Path) -> None:
    flags = ["--method", "full", "--batch-size", "2", "--no-packing", "--warmup", "0", "--keep-best"]
    phichat("train", *flags, "--lora-targets", "a, b", "--set", "train.seed=3")
    told = json.loads(next((school / ".phichat" / "pupil" / "lessons").iterdir()).read_text("utf-8"))
    wanted = {
        "method": "full",
        "batch_size": 2,
        "packing": False,
        "warmup": 0.0,
        "keep_best": True,
        "seed": 3,
    }
    assert {**wanted, "lora_targets": ["a", "b"]}.items() <= told["hyperparameters"].items()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--epochs", "0"), "The flag --epochs must be greater than 0, not '0'."),
        (("--method", "lorra"), "The flag --method must be 'full', 'lora' or 'qlora', not 'lorra'."),
        (("--epoch", "3"), "Did you mean --epochs?"),
        (("--name", "bad name/x"), "'bad name/x' is no name for a run."),
        (("--name", "../x"), "'../x' is no name for a run."),
    ],
)
def test_a_wrong_setting_is_wrong_usage(
    phichat: Run, school: Path, flags: tuple[str, str], told: str
) -> None:
    done = phichat("train", *flags)
    assert done.code == 2
    assert told in done.err
    assert "It takes" not in done.err, "before anything is reckoned"
    assert facts(phichat) == []


def test_without_data_it_is_said_how_to_get_some(phichat: Run, project: Path) -> None:
    done = phichat("train")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("phichat: There is no data to train on yet.\n")
    assert "phichat data demo" in done.err


def test_what_costs_money_is_asked_about(phichat: Run, school: Path) -> None:
    paid = ("--set", "backends.pupil.usd_per_hour=2.5")
    done = phichat("train", *paid)
    assert done.code == 2
    assert "costs US$2.50 to 5.00 (from the school's own figures). Go on?" in done.err
    assert phichat("train", *paid, typed="n\n").code == 1
    assert facts(phichat) == []
    assert phichat("train", *paid, "--yes").code == 0
    assert phichat("train", *paid, "--again", typed="y\n").code == 0


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_cannot_be_trained_here_is_refused_before_it_begins(
    phichat: Run, school: Path, monkeypatch: pytest.MonkeyPatch, dry: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PATH", str(school))
    done = phichat("train", "--backend", "local", "--model", "smollm2", "--method", "qlora", *dry)
    assert done.code == 1 and "It takes" not in done.err and "Cost:" not in done.err
    assert done.err.endswith(
        "phichat: The method qlora needs an NVIDIA GPU, and none is found here: choose lora instead.\n"
        "  phichat train --method lora\n"
    )
    assert facts(phichat) == []


def test_what_will_hardly_fit_is_questioned(phichat: Run, school: Path) -> None:
    huge = ("--set", "backends.pupil.gib=9")
    told = phichat("train", *huge, "--dry-run", "--method", "lora").err
    assert "It will hardly fit." in told and "or take a smaller model." in told
    told = phichat("train", *huge, "--dry-run", "--method", "full").err
    assert "take --method lora or another model." in told
    assert phichat("train", *huge, typed="\n").code == 1
    assert facts(phichat) == []
    done = phichat("train", *huge)
    assert done.code == 0, "without anybody to ask it is tried"
    assert "It will hardly fit." in done.err


def test_a_learning_rate_far_from_the_usual_is_questioned(phichat: Run, school: Path) -> None:
    done = phichat("train", "--model", "smollm2", "--learning-rate", "0.5", "--dry-run")
    assert "Is a learning rate of 0.5 meant? Usual for this model is 1e-06 to 0.001." in done.err
    assert "learning rate" not in phichat("train", "--model", "smollm2", "--dry-run").err


def test_nobody_decides_about_money_before_the_sign_in(
    phichat: Run, school: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: pupil.PupilBackend, _spec: object) -> list[Step]:
        raise AuthError("You are not signed in.", "phichat login")

    monkeypatch.setattr(pupil.PupilBackend, "plan", refuse)
    paid = ("--set", "backends.pupil.usd_per_hour=2.5")
    done = phichat("train", *paid, typed="y\n")
    assert done.code == 1 and "Go on?" not in done.err
    assert done.err.endswith("phichat: You are not signed in.\n  phichat login\n")
    done = phichat("train", *paid, "--dry-run")
    assert done.code == 1 and "Cost: US$2.50 to 5.00" in done.err
    assert done.err.endswith("phichat: You are not signed in.\n  phichat login\n")
    assert facts(phichat) == []


def test_a_dry_run_trains_nothing(phichat: Run, school: Path) -> None:
    done = phichat("train", "--dry-run")
    assert (done.code, done.out) == (0, "reused    cage\nplanned   parrot  grey\n")
    assert "Cost: nothing." in done.err
    assert facts(phichat) == []


def test_the_page_of_a_run_is_told(phichat: Run, school: Path) -> None:
    page = "https://school.example/lessons"
    paged = ("--set", f"backends.pupil.page={page}")
    assert f"In the browser: {page}\n" in phichat("train", "--detach", "--name", "one", *paged).err
    assert f"In the browser: {page}\n" in phichat("watch", "one").err
    assert page not in phichat("watch", "one", "--json").err
    assert "In the browser" not in phichat("train", "--name", "two").err


def test_detached_it_goes_on_alone_and_can_be_watched(phichat: Run, school: Path) -> None:
    done = phichat("train", "--detach", "--name", "alone")
    assert (done.code, done.out) == (0, "alone\n")
    assert done.err.splitlines()[-1] == (
        "alone runs. Come back: phichat watch alone. End it: phichat cancel alone."
    )
    watched = phichat("watch")
    assert watched.code == 0
    assert "step 4 of 4: eval loss 1.500" in watched.err
    assert [run["state"] for run in facts(phichat)] == ["succeeded"]
    assert "step 4 of 4: eval loss 1.500" in phichat("watch", "alone").err, "told again from the ledger"


def test_a_run_that_failed_says_why_and_what_to_do(phichat: Run, school: Path) -> None:
    fails = ("--set", "backends.pupil.ends=failed")
    done = phichat("train", *fails, "--name", "poor")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-2:] == [
        "phichat: poor failed: It fell asleep.",
        "  phichat logs poor; to go on: the same 'phichat train' again",
    ]
    assert phichat("watch", "poor").code == 1
    assert phichat("train", "--name", "poor").code == 0, "it goes on"


def test_as_json_it_is_events_to_exactly_one_end(phichat: Run, school: Path) -> None:
    done = phichat("train", "--json")
    events = [parse(line) for line in done.out.splitlines()]
    assert {event.kind for event in events} == {"step", "status", "metric", "sample", "log", "artifact"}
    assert [e.state for e in events if isinstance(e, Status) and e.finished] == ["succeeded"]
    assert isinstance(events[-1], Status)


def test_ctrl_c_leaves_the_run_and_says_how_to_come_back(phichat: Run, school: Path) -> None:
    with session("train", "--name", "slow", "--set", "backends.pupil.slow=forever", cwd=school) as terminal:
        terminal.until("step 1 of 4 · loss 2.500 · eval loss 3.000 · 1,234 tokens/s")
        terminal.type("\x03")
        terminal.until(
            "slow goes on without you. Come back: phichat watch slow. End it: phichat cancel slow."
        )
        assert terminal.ended() == 130
    forever = ("--set", "backends.pupil.slow=forever")
    assert [line.split()[:2] for line in phichat("runs", *forever).out.splitlines()[1:]] == [
        ["slow", "preparing"]
    ]
    done = phichat("cancel", *forever)
    assert (done.code, done.out) == (0, "slow\n")
    assert (
        done.err == "slow is cancelled. To go on from its last checkpoint: the same 'phichat train' again\n"
    )
    assert phichat("watch", "slow").code == 1
    assert [run["state"] for run in facts(phichat)] == ["cancelled"]


def test_what_may_cost_more_than_it_may_never_begins(phichat: Run, school: Path) -> None:
    paid = ("--set", "backends.pupil.usd_per_hour=2.5")
    done = phichat("train", *paid, "--yes", "--max-cost", "4")
    assert done.code == 1 and "may cost up to US$5.00, and --max-cost is US$4.00." in done.err
    assert phichat("train", *paid, "--dry-run", "--max-cost", "4").code == 1
    done = phichat("train", *paid, "--yes", "--set", "backends.pupil.budget=4")
    assert done.code == 1 and "US$4.00 of the budget of US$4.00 is left." in done.err
    assert facts(phichat) == [], "nothing was started"
    assert phichat("train", "--max-cost", "0").code == 0, "what is free is free"
    assert phichat("train", "--max-cost", "much").code == 2


def test_the_limit_travels_with_the_job(phichat: Run, school: Path) -> None:
    paid = ("--set", "backends.pupil.usd_per_hour=2.5", "--set", "backends.pupil.budget=9")
    assert phichat("train", *paid, "--yes", "--max-cost", "$6").code == 0
    told = json.loads(next((school / ".phichat" / "pupil" / "lessons").iterdir()).read_text("utf-8"))
    assert told["max_usd"] == 6
    (run,) = facts(phichat)
    assert (run["priced"], run["usd_rate"]) == (True, 2.5)
    name = run["name"]
    assert phichat("train", *paid, "--yes").out == f"{name}\n", "the limit does not make it another run"


def test_an_evaluation_costs_an_hour_what_its_training_did(phichat: Run, school: Path) -> None:
    paid = ("--set", "backends.pupil.usd_per_hour=2.5", "--set", "backends.pupil.examined=false")
    assert phichat("train", *paid, "--yes").code == 0
    assert phichat("eval", *paid).code == 2, "nobody can be asked"
    assert phichat("eval", *paid, "--yes").code == 0
    assert [(run["priced"], run["usd_rate"]) for run in facts(phichat)] == [(True, 2.5), (True, 2.5)]
