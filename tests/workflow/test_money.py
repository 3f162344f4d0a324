"""What was spent, and the stop before the click."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.backends.base import (
    Dataset,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    Job,
    TrainSpec,
)
from phichat.errors import QuotaError
from phichat.events import Event, Log, Status
from phichat.runs import Ledger, Run
from phichat.workflow.deployed import Deployed
from phichat.workflow.money import Cost, Spending, affordable, allowance, cost, most, promised, spent

TRAIN = TrainSpec(name="phi", dataset=Dataset(train_file=Path("rows.jsonl")), base_model="phi-3.5-mini")
DEPLOY = DeploySpec(name="chat", model="phi-3.5-mini")
RANGE = Estimate(usd=(2, 5), usd_rate=3.673, source="a list")
HOURLY = Estimate(usd=(0, 0), usd_per_hour=0.25)


def ledger_of(folder: Path, events: list[Event], **run: object) -> tuple[Ledger, Run]:
    ledger = Ledger(folder)
    kept = ledger.write(Run.model_validate({"name": "phi", "backend": "azureml", "spec": TRAIN, **run}))
    log = ledger.events("phi")
    for number, event in enumerate(events):
        log.append(event.model_copy(update={"seq": number}))
    return ledger, kept


STORY: list[Event] = [
    Status(state="queued", at=0),
    Status(state="preparing", at=100),
    Status(state="running", at=1000),
    Log(line="a line", at=1500),
    Status(state="running", detail="still", at=2000),
    Status(state="failed", at=4600),
    Status(state="running", at=10_000),
]


def test_a_run_costs_what_it_ran_and_not_what_it_waited(tmp_path: Path) -> None:
    ledger, run = ledger_of(tmp_path, STORY, priced=True, usd_rate=3.0, state="succeeded", ended=13_600)
    assert cost(ledger, run) == Cost(hours=2.0, usd=6.0)
    assert spent(ledger, "azureml") == Cost(hours=2.0, usd=6.0)
    assert spent(ledger, "local") == Cost(hours=0.0, usd=0.0)


def test_what_lies_between_two_attempts_costs_nothing(tmp_path: Path) -> None:
    story = [*STORY[:5], Status(state="preparing", detail="Started again.", at=9000), STORY[-1]]
    ledger, run = ledger_of(tmp_path, story, priced=True, usd_rate=3.0, state="succeeded", ended=13_600)
    # Nobody has seen how the first attempt ended: its last word came at 2000.
    assert cost(ledger, run).hours == pytest.approx((1000 + 3600) / 3600)


def test_a_run_that_goes_on_costs_until_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, run = ledger_of(tmp_path, STORY, priced=True, usd_rate=3.0, state="running")
    monkeypatch.setattr("time.time", lambda: 11_800.0)
    assert cost(ledger, run).hours == pytest.approx(1.5)


def test_an_unknown_price_is_not_free(tmp_path: Path) -> None:
    ledger, run = ledger_of(tmp_path, STORY, priced=True, state="succeeded", ended=13_600)
    assert cost(ledger, run).usd is None and spent(ledger, "azureml").usd is None
    free = run.model_copy(update={"priced": False})
    assert cost(ledger, free).usd == 0


@pytest.mark.parametrize(
    ("estimate", "spec", "told"),
    [
        (RANGE, TRAIN, 5.0),
        (HOURLY, DEPLOY, 6.0),
        (HOURLY, DEPLOY.model_copy(update={"ttl_hours": 8}), 2.0),
        (Estimate(), TRAIN, None),
    ],
)
def test_the_most_that_is_expected(
    estimate: Estimate, spec: TrainSpec | DeploySpec, told: float | None
) -> None:
    assert most(estimate, spec) == told


def test_within_the_limit_it_goes_on_with_the_smaller_one() -> None:
    rich = Spending(usd=10, budget=100)
    assert affordable(RANGE, TRAIN, max_usd=None, spending=Spending()) is None
    assert affordable(RANGE, TRAIN, max_usd=6, spending=Spending()) == 6
    assert affordable(RANGE, TRAIN, max_usd=6, spending=rich) == 6
    assert affordable(RANGE, TRAIN, max_usd=None, spending=rich) == 90
    assert affordable(Estimate(usd=(0, 0), usd_per_hour=0), TRAIN, max_usd=0, spending=rich) is None


@pytest.mark.parametrize(
    ("estimate", "spec", "max_usd", "spending", "told"),
    [
        (RANGE, TRAIN, 4.0, Spending(), "may cost up to US$5.00, and --max-cost is US$4.00."),
        (RANGE, TRAIN, None, Spending(usd=8, budget=10), "US$2.00 of the budget of US$10.00 is left."),
        (RANGE, TRAIN, 9.0, Spending(usd=12, budget=10), "US$0.00 of the budget of US$10.00 is left."),
        (HOURLY, DEPLOY, 1.0, Spending(), "costs US$6.00 in a day, and --max-cost is US$1.00."),
        (RANGE, TRAIN, None, Spending(usd=None, budget=10), "Nobody knows what was spent so far"),
        (Estimate(source="no list"), TRAIN, 9.0, Spending(), "Nobody knows what phi costs"),
    ],
)
def test_what_may_cost_more_is_stopped(
    estimate: Estimate,
    spec: TrainSpec | DeploySpec,
    max_usd: float | None,
    spending: Spending,
    told: str,
) -> None:
    with pytest.raises(QuotaError) as caught:
        affordable(estimate, spec, max_usd=max_usd, spending=spending)
    assert told in caught.value.message
    assert caught.value.hint


def test_what_a_job_under_way_may_still_cost_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 11_800.0)
    limited = {"job": Job(id="phi"), "usd_rate": 3.0, "spec": TRAIN.model_copy(update={"max_usd": 10.0})}
    ledger, run = ledger_of(tmp_path, STORY, priced=True, state="running", **limited)
    assert cost(ledger, run).usd == pytest.approx(4.5)
    assert promised(ledger, "azureml", 24) == pytest.approx(5.5)
    assert promised(ledger, "local", 24) == 0
    # Started again after it had cost three dollars: the limit is for what comes after that.
    ledger.write(run.model_copy(update={"usd_before": 3.0}))
    assert promised(ledger, "azureml", 24) == pytest.approx(8.5)
    ledger.write(run.model_copy(update={"spec": TRAIN}))
    assert promised(ledger, "azureml", 2) == pytest.approx(1.5), "it is ended after two hours"
    assert promised(ledger, "azureml", None) == 0
    for done in ({"state": "failed"}, {"job": None}):
        ledger.write(run.model_copy(update=done))
        assert promised(ledger, "azureml", 24) == 0


def test_what_is_set_aside_and_what_deployments_have_cost_is_not_left() -> None:
    spending = Spending(usd=10, deployed=5, promised=20, budget=36)
    assert spending.left == 1
    with pytest.raises(QuotaError) as caught:
        affordable(RANGE, TRAIN, max_usd=None, spending=spending)
    assert "US$1.00 of the budget of US$36.00 is left while US$20.00 is set aside" in caught.value.message
    assert caught.value.hint.startswith("Wait until they have ended")


def test_an_evaluation_gets_what_is_left() -> None:
    rich = Spending(usd=10, budget=100)
    assert allowance("exam", 3.0, max_usd=None, spending=Spending()) is None
    assert allowance("exam", 3.0, max_usd=None, spending=rich) == 90
    assert allowance("exam", 3.0, max_usd=5, spending=rich) == 5
    for rate, spending, told in (
        (3.0, Spending(usd=9, budget=9), "Nothing of the budget of US$9.00 is left to evaluate exam with."),
        (3.0, Spending(promised=9, budget=9), "with while US$9.00 is set aside for jobs under way."),
        (None, rich, "Nobody knows what evaluating exam costs"),
        (3.0, Spending(usd=None, budget=9), "Nobody knows what was spent so far"),
    ):
        with pytest.raises(QuotaError) as caught:
            allowance("exam", rate, max_usd=None, spending=spending)
        assert told in caught.value.message and caught.value.hint


def test_a_deployment_costs_from_when_it_was_made_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)

    def seen(*ids: str, made: float = 1_000_000.0, **more: bool) -> None:
        states = [
            DeploymentState(deployment=Deployment(id=each), healthy=True, made=made, **more) for each in ids
        ]
        Deployed(tmp_path / "file.json").seen(states)

    def cost() -> float:
        return Deployed(tmp_path / "file.json").cost()

    seen("e/a", "e/b", "f/c")
    seen("theirs/d", foreign=True)
    assert cost() == 0
    seen("e/a", "e/b", "f/c")  # they were only missing in the list
    Deployed(tmp_path / "file.json").rated({"e/a": 1.0, "e/b": 2.0, "f/c": None, "theirs/d": 9.0})
    now += 3600
    assert cost() == pytest.approx(3.0)
    Deployed(tmp_path / "file.json").gone("e/a")
    now += 3600
    assert cost() == pytest.approx(1.0 + 4.0)
    seen("e/a", "f/c", made=now)  # one was made again, one was removed elsewhere
    Deployed(tmp_path / "file.json").rated({"e/a": 1.0})
    now += 3600
    assert cost() == pytest.approx(1.0 + 4.0 + 1.0)
    Deployed(tmp_path / "file.json").gone("e")
    now += 3600
    assert cost() == pytest.approx(6.0)
    (tmp_path / "file.json").write_text("[]", encoding="utf-8")
    assert cost() == 0
