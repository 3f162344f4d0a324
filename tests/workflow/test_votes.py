"""How people voted: counted, kept with the run that was judged, and told wherever one looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.backends.base import Dataset, Job, TrainSpec
from phichat.errors import DataError
from phichat.events import Artifact, Metric
from phichat.runs import Run
from phichat.workflow import Project
from phichat.workflow.comparing import keep, pair_of
from phichat.workflow.evaluation import rows
from phichat.workflow.votes import Tally, Vote, Votes, Winner, counted, into_report


def vote(winner: Winner, left: str = "base: smollm2", right: str = "tuned: mine") -> Vote:
    return Vote(left=left, right=right, question="<Who?>", answers=("A model.", "A keeper."), winner=winner)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a run that was evaluated, its report as the trainer leaves it."""
    project = Project.open(tmp_path, environ={"PHICHAT_HOME": str(tmp_path / "home")})
    ledger = project.training.ledger
    spec = TrainSpec(name="mine", dataset=Dataset(train_file=tmp_path / "t.jsonl"), base_model="smollm2")
    ledger.write(Run(name="mine", backend="local", spec=spec, job=Job(id="mine"), state="succeeded"))
    report = tmp_path / "report.html"
    report.write_text("<h1>Did it help?</h1><!-- votes --><!-- /votes --><p>More.</p>", encoding="utf-8")
    values = {"base_loss": 3.0, "tuned_loss": 1.5, "base_perplexity": 20.1, "tuned_perplexity": 4.5}
    ledger.events("mine").append(Metric(step=4, values=values, seq=0))
    ledger.events("mine").append(Artifact(name="report.html", uri=str(report), seq=1))
    return project


def test_the_win_rate_counts_a_tie_as_half_and_only_votes_on_the_same_two(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "kept" / "votes.jsonl")
    assert list(votes.between(["base: smollm2"], "tuned: mine")) == []
    for winner in ("left", "right", "right", "tie"):
        votes.add(vote(winner))
    votes.add(vote("left", left="another"))
    with votes.path.open("a", encoding="utf-8") as file:
        file.write('{"left": "base: smollm2", "ri')
    tally = counted(votes.between(["base: smollm2"], "tuned: mine"))
    assert tally == Tally(1, 2, 1)
    # After the line that was cut off; its answer has what `str.splitlines` takes for the end of a line.
    votes.add(vote("right").model_copy(update={"answers": ("One.\u2028Two.", "\x85")}))
    assert counted(votes.between(["base: smollm2"], "tuned: mine")) == Tally(1, 3, 1)
    assert (tally.win_rate, Tally(0, 0, 0).win_rate) == (0.625, 0.0)


async def test_a_vote_is_told_with_the_numbers_of_its_run_and_in_its_report(project: Project) -> None:
    pair = await pair_of(project, "mine")
    run = project.training.ledger.run("mine")
    found = project.training.evaluation(run)
    assert found is not None and "win_rate" not in found.tuned
    for winner in ("right", "right", "tie"):
        keep(project, pair, vote(winner))
    keep(project, pair.model_copy(update={"left": pair.right}), vote("left", left="tuned: other"))
    assert project.training.votes(run) == Tally(0, 2, 1)
    found = project.training.evaluation(run)
    assert found is not None
    assert rows(found)[-1] == ("preferred by people (3 votes)", "17%", "83%")
    page = Path(found.report).read_text(encoding="utf-8")
    assert page.startswith("<h1>Did it help?</h1><!-- votes --><h2>Votes</h2>")
    assert page.endswith("<!-- /votes --><p>More.</p>")
    assert "The tuned model wins 83% of 3: 2 better, 0 worse, 1 alike." in page
    assert page.count("<td>&lt;Who?&gt;</td><td>A model.</td><td>A keeper.</td>") == 3
    assert page.count("<h2>Votes</h2>") == 1, "it takes the place of what stood there"


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"votes\.jsonl cannot be written"):
        Votes(tmp_path / "file" / "votes.jsonl").add(vote("tie"))
    with pytest.raises(DataError, match=r"report\.html cannot be written"):
        into_report(tmp_path / "report.html", [vote("tie")])


def test_a_report_without_a_place_for_votes_stays_as_it_is(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("An old one.", encoding="utf-8")
    into_report(report, [vote("tie")])
    assert report.read_text(encoding="utf-8") == "An old one."
