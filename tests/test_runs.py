"""The ledger of runs: nothing is written twice, nothing half-written is believed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from phichat.backends.base import Dataset, Job, TrainSpec
from phichat.errors import NotFoundError
from phichat.events import Event, Log, Metric, Status
from phichat.runs import EventLog, Ledger, Run, run_name


def spec(name: str = "r", **changes: object) -> TrainSpec:
    dataset = Dataset(train_file=Path("train.jsonl"), fingerprint="abc")
    return TrainSpec.model_validate({"name": name, "dataset": dataset, "base_model": "smollm2", **changes})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs")


def test_a_run_is_read_as_it_was_written(ledger: Ledger) -> None:
    run = ledger.write(Run(name="r", backend="local", spec=spec(), job=Job(id="j"), state="running"))
    assert ledger.run("r") == run
    assert ledger.runs() == [run]


def test_the_newest_run_comes_first(ledger: Ledger) -> None:
    old = ledger.write(Run(name="old", backend="local", spec=spec("old"), created=1, state="succeeded"))
    new = ledger.write(Run(name="new", backend="local", spec=spec("new"), created=2, state="failed"))
    assert ledger.runs() == [new, old]
    assert ledger.newest("local") == new
    assert ledger.newest("local", succeeded=True) == old
    with pytest.raises(NotFoundError):
        ledger.newest("elsewhere")


def test_what_is_newer_is_noted_and_an_end_stays(ledger: Ledger) -> None:
    ledger.write(Run(name="r", backend="local", spec=spec()))

    def noted(status: Status) -> tuple[str, str, float | None]:
        ledger.note("r", status)
        run = ledger.run("r")
        return run.state, run.detail, run.ended

    assert noted(Status(state="running", seq=3)) == ("running", "", None)
    assert noted(Status(state="queued", detail="Third in line.", seq=0)) == ("running", "", None)
    assert noted(Status(state="running", detail="Half.", seq=4)) == ("running", "Half.", None)
    # A plugin may count the events of a further attempt from 0 again: its end counts all the same.
    assert noted(Status(state="failed", detail="No.", seq=2, at=9)) == ("failed", "No.", 9)
    assert noted(Status(state="running", seq=7)) == ("failed", "No.", 9)


def test_a_note_takes_nothing_back_that_was_written_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ledger.write(Run(name="r", backend="local", spec=spec()))
    again = Thread(target=ledger.write, args=[run.model_copy(update={"job": Job(id="again")})])
    read = Ledger.run

    def read_while_another_writes(self: Ledger, name: str) -> Run:
        known = read(self, name)
        again.start()
        again.join(0.2)
        return known

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "run", read_while_another_writes)
        ledger.note("r", Status(state="running", seq=0))
    again.join()
    assert ledger.run("r").job == Job(id="again")


def test_no_run_is_an_error_that_says_what_to_do(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError) as error:
        ledger.newest("local")
    assert error.value.hint == "phichat train"
    with pytest.raises(NotFoundError):
        ledger.run("nobody")


def test_an_unreadable_run_is_no_crash(ledger: Ledger) -> None:
    ledger.write(Run(name="good", backend="local", spec=spec()))
    (ledger.directory / "bad").mkdir()
    (ledger.directory / "bad" / "run.json").write_text("{")
    assert [run.name for run in ledger.runs()] == ["good"]


def test_a_free_name_counts_up(ledger: Ledger) -> None:
    assert ledger.free_name("r") == "r"
    for name in ("r", "r-2"):
        ledger.write(Run(name=name, backend="local", spec=spec()))
    assert ledger.free_name("r") == "r-3"


def test_events_are_kept_once_each_and_in_order(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    events: list[Event] = [
        Status(state="running", seq=0),
        Metric(step=1, values={"loss": 2.5}, seq=1),
        Log(line="x", seq=2),
    ]
    assert [log.append(event) for event in events] == [True, True, True]
    assert [log.append(event) for event in events] == [False, False, False]
    assert list(EventLog(tmp_path / "events.jsonl")) == events


def test_two_watchers_keep_one_copy(tmp_path: Path) -> None:
    one, two = EventLog(tmp_path / "events.jsonl"), EventLog(tmp_path / "events.jsonl")
    for seq in range(20):
        assert one.append(Log(line=str(seq), seq=seq))
        assert not two.append(Log(line=str(seq), seq=seq))
    assert [event.seq for event in one] == list(range(20))


def test_watchers_in_other_processes_keep_one_copy(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from phichat.events import Log; from phichat.runs import EventLog\n"
        "log = EventLog(Path(sys.argv[1]))\n"
        "for seq in range(200): log.append(Log(line=str(seq), seq=seq))"
    )
    path = tmp_path / "events.jsonl"
    watchers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [watcher.wait() for watcher in watchers] == [0, 0, 0]
    assert [event.seq for event in EventLog(path)] == list(range(200))


def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append(Log(line="whole", seq=0))
    with path.open("a") as file:
        file.write('{"kind":"log","seq":1,"li')
    assert [event.seq for event in EventLog(path)] == [0]
    again = EventLog(path)
    assert again.append(Log(line="again", seq=1))
    assert [event.seq for event in EventLog(path)] == [0, 1]


def test_the_name_is_the_same_for_the_same_work_and_another_for_other_work() -> None:
    name = run_name(spec(), "SmolLM2 135M", "local")
    assert name.startswith("smollm2-135m-")
    assert name == run_name(spec("other-name"), "SmolLM2 135M", "local")
    moved = Dataset(train_file=Path("/elsewhere/train.jsonl"), fingerprint="abc")
    assert name == run_name(spec(dataset=moved), "SmolLM2 135M", "local")
    assert name != run_name(spec(hyperparameters={"epochs": 2}), "SmolLM2 135M", "local")
    assert name != run_name(spec(), "SmolLM2 135M", "elsewhere")
    other = moved.model_copy(update={"fingerprint": "d"})
    assert name != run_name(spec(dataset=other), "SmolLM2 135M", "local")
