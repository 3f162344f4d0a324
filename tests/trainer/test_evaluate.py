"""Did it help? The numbers, the answers and the report of an evaluation."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import charts
import report
from answering import answers
from conversations import read
from exam import general_questions
from masking import Example, Masker
from phichat.events import Artifact, Metric
from phichat.workflow.evaluation import Evaluation, verdict
from phichat.workflow.votes import Vote, into_report
from scoring import exact_match, f1, normalized, score
from settings import Question
from tests.trainer.conftest import Data
from tests.trainer.runs import Run, Runs


def evaluation(runs: Runs, folder: Path, settings: dict[str, Any], *argv: str) -> Run:
    """Evaluate in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    return runs.start(
        "evaluate", folder, [*argv, "--config", str(config), "--output-dir", str(folder / "out")]
    )


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, runs: Runs, tiny_phi3: Path, data: Data) -> Path:
    """The tiny model against itself: the folder with what came out."""
    folder = tmp_path_factory.mktemp("compared")
    settings = {
        "max_length": 128, "answers": 3, "short_words": 15, "answer_tokens": 6, "threads": 1,
        "probes": [{"prompt": "<Why?>", "expect": ["never"]}, "How?"],
    }  # fmt: skip
    model = ("--model", str(tiny_phi3), "--base", str(tiny_phi3), "--data", str(data[1]))
    run = evaluation(runs, folder, settings, *model)
    assert run.wait() == 0, run.errors
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return result


def test_both_models_are_examined_alike(compared: Path) -> None:
    result = result_of(compared)
    assert result["base"] == result["tuned"]
    assert result["data"]["rows"] == 4
    assert len(result["answers"]) == 3
    assert not any(row["changed"] for row in result["answers"])
    assert set(result["tuned"]) == {
        "loss", "perplexity", "token_accuracy", "exact_match", "f1", "probes_right", "general_right"
    }  # fmt: skip
    assert result["tuned"]["perplexity"] == pytest.approx(math.exp(result["tuned"]["loss"]))
    assert result["tuned"]["probes_right"] == 0


def test_what_it_says_while_it_works(compared: Path) -> None:
    run = Run(0, compared, lambda pid: 0)
    assert run.last.state == "succeeded"
    assert run.last.detail.startswith("Perplexity of the tuned model ")
    assert run.steps == {"examine base": "done", "examine tuned": "done"}
    (metric,) = [event for event in run.events if isinstance(event, Metric)]
    assert metric.values["base_perplexity"] == metric.values["tuned_perplexity"]
    assert [sample.prompt for sample in run.samples] == ["<Why?>", "How?"]
    made = {event.name: Path(event.uri) for event in run.events if isinstance(event, Artifact)}
    assert made == {name: compared / "out" / name for name in ("result.json", "report.html")}


class Links(HTMLParser):
    """Whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = ("src", "href", "action", "srcset", "data")
        self.found += [f"{tag} {name}" for name, _ in attrs if name in names]
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_report_needs_no_network(compared: Path) -> None:
    page = (compared / "out" / "report.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert not links.found
    assert "url(" not in page
    assert "@import" not in page
    assert "<Why?>" in links.text
    assert "Answers that changed: 0 of 3" in links.text
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert pictures
    for picture in pictures:
        ET.fromstring(picture)


def test_votes_find_their_place_in_the_report(compared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "report.html"
    copy.write_bytes((compared / "out" / "report.html").read_bytes())
    vote = Vote(left="base", right="tuned", question="<Who?>", answers=("A.", "B."), winner="right")
    into_report(copy, [vote])
    links = Links()
    links.feed(copy.read_text(encoding="utf-8"))
    assert not links.found
    assert "The tuned model wins 100% of 1: 1 better, 0 worse, 0 alike." in links.text
    assert links.text.index("Votes") < links.text.index("Probes")


def test_without_a_base_model_the_tuned_one_is_examined_alone(
    runs: Runs, tiny_phi3: Path, data: Data, tmp_path: Path
) -> None:
    settings = {"answers": 1, "answer_tokens": 2, "general": False}
    run = evaluation(runs, tmp_path, settings, "--model", str(tiny_phi3), "--data", str(data[1]))
    assert run.wait() == 0, run.errors
    result = result_of(tmp_path)
    assert "base" not in result
    assert result["base_model"] is None
    assert result["general"] == []


@pytest.mark.parametrize(
    ("settings", "argv", "code", "detail"),
    [
        ({"anwers": 1}, [], 2, 'config.json: "anwers" is no setting; did you mean "answers"?'),
        ({}, ["--base", "/nowhere"], 1, "/nowhere holds no model: there is no config.json in it."),
    ],
)
def test_what_is_wrong_is_one_sentence(
    settings: dict[str, Any],
    argv: list[str],
    code: int,
    detail: str,
    runs: Runs,
    tiny_phi3: Path,
    data: Data,
    tmp_path: Path,
) -> None:
    run = evaluation(runs, tmp_path, settings, "--model", str(tiny_phi3), "--data", str(data[1]), *argv)
    assert run.wait() == code
    assert run.last.state == "failed"
    assert run.last.detail == detail


# The parts


@pytest.fixture(scope="module")
def model(tiny_phi3: Path) -> Any:
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(tiny_phi3)
    return loaded.eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_phi3: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_phi3)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_the_score_is_that_of_the_whole_logits(
    model: Any, tokenizer: Any, data: Data, batch_size: int
) -> None:
    import torch

    examples = list(Masker(tokenizer, ()).examples(read(data[0]), 512))[:5]
    loss, right = 0.0, 0
    for example in examples:
        with torch.no_grad():
            logits = model(torch.tensor([example.ids])).logits[0, :-1].log_softmax(-1)
        for at, label in enumerate(example.labels[1:]):
            if label >= 0:
                loss -= float(logits[at, label])
                right += int(logits[at].argmax()) == label
    known = score(model, examples, batch_size)
    assert known.tokens == sum(example.learned for example in examples)
    assert known.nll == pytest.approx(loss, rel=1e-5)
    assert known.right == right
    assert known.accuracy == right / known.tokens
    assert known.perplexity == pytest.approx(math.exp(loss / known.tokens), rel=1e-5)


def test_a_hopeless_model_has_a_finite_perplexity(model: Any) -> None:
    known = score(model, [Example([1, 2], [-100, 2], False)], 1)
    known.nll = 1e9
    assert math.isfinite(known.perplexity)


def test_answers_do_not_depend_on_their_neighbours(model: Any, tokenizer: Any) -> None:
    chats = [[{"role": "user", "content": text}] for text in ("Hi", "Tell me about the sea. " * 5, "Why so?")]
    options: dict[str, Any] = {"ends": [3, 6], "max_new_tokens": 12}
    alone = [answers(model, tokenizer, [chat], **options)[0] for chat in chats]
    told: list[int] = []
    assert answers(model, tokenizer, chats, **options, batch_size=2, tell=told.append) == alone
    assert told == [2, 3]
    assert answers(model, tokenizer, [], **options) == []


def test_an_answer_stops_at_a_stop_token(model: Any, tokenizer: Any) -> None:
    chat = [[{"role": "user", "content": "Hi"}]]
    prompt = tokenizer.apply_chat_template(chat[0], add_generation_prompt=True, return_tensors="pt")[
        "input_ids"
    ]
    tokens = model.generate(prompt, max_new_tokens=8, do_sample=False, eos_token_id=[3])[0, prompt.shape[1] :]
    end = int(tokens[4])
    length = tokens.tolist().index(end)
    said = answers(model, tokenizer, chat, ends=[end], max_new_tokens=8)
    assert said == [tokenizer.decode(tokens[:length], skip_special_tokens=True).strip()]


@pytest.mark.parametrize(
    ("answer", "reference", "same", "shared"),
    [
        ("The cat.", "a  CAT", True, 1.0),
        ("Her name is Biscuit.", "Biscuit", False, 0.4),
        ("no", "yes", False, 0.0),
        ("", "yes", False, 0.0),
        ("", "the", True, 1.0),
        ("yes yes", "yes", False, 2 / 3),
    ],
)
def test_answers_are_compared_as_squad_does(answer: str, reference: str, same: bool, shared: float) -> None:
    assert exact_match(answer, reference) is same
    assert f1(answer, reference) == pytest.approx(shared)
    assert f1(reference, answer) == pytest.approx(shared)
    assert normalized(normalized(answer)) == normalized(answer)


def test_the_general_questions_can_be_judged() -> None:
    questions = general_questions()
    assert len(questions) >= 10
    for question in questions:
        assert isinstance(question, Question)
        assert question.expect
        assert not question.right(question.prompt)


def test_a_line_chart_leaves_out_what_is_no_number() -> None:
    nan = float("nan")
    picture = ET.fromstring(charts.lines({"loss": [(1, 2.0), (2, nan), (3, 1.0)], "none": []}, "step"))
    (line,) = picture.iter("{http://www.w3.org/2000/svg}polyline")
    assert len(line.attrib["points"].split()) == 2
    assert charts.lines({"loss": [(1, nan)]}, "step") == ""
    assert ET.fromstring(charts.lines({"loss": [(1, 0.0)]}, "<step>")) is not None


def test_the_report_says_what_was_forgotten_and_what_changed() -> None:
    def asked(prompt: str, base: bool, tuned: bool) -> dict[str, Any]:
        return {"prompt": prompt, "base": "b", "tuned": "t", "base_right": base, "tuned_right": tuned}

    answer = {"prompt": "p", "reference": "r", "base": "x", "tuned": "<y>", "changed": True}
    result = {
        "model": "m",
        "data": {"file": "f", "rows": 1},
        "base": {"perplexity": 2.5, "token_accuracy": 0.5},
        "tuned": {"perplexity": 1.5, "token_accuracy": 0.75},
        "answers": [answer, answer | {"changed": False, "tuned": "same"}],
        "probes": [],
        "general": [asked("lost", True, False), asked("kept", True, True), asked("won", False, True)],
    }
    training = [
        {"step": 1, "values": {"loss": 3.0}},
        {"step": 1, "values": {"eval_loss": 2.0}},
        {"step": 2, "values": {"loss": "NaN"}},
    ]
    page = report.render(result, training)
    assert "Forgotten: lost</p>" in page
    assert "Answers that changed: 1 of 2" in page
    assert "&lt;y&gt;" in page
    assert "same" not in page
    assert "<td>2.500</td><td>1.500</td>" in page
    assert "<td>50%</td><td>75%</td>" in page
    assert "training loss" in page
    assert 'class="wrong">t</span>' in page


@pytest.mark.parametrize("after", [0.75, 0.5, 0.83])
def test_the_report_has_the_verdict_s_words_for_what_was_forgotten(after: float) -> None:
    base = {"perplexity": 20.0, "general_right": 0.83}
    tuned = {"perplexity": 4.5, "general_right": after}
    about = {"model": "m", "data": {"file": "f", "rows": 1}, "answers": [], "probes": [], "general": []}
    page = report.render({**about, "base": base, "tuned": tuned}, [])
    said = verdict(Evaluation(base=base, tuned=tuned)).sentence
    assert f"{said.removeprefix('It helped: ')}</p>" in page
    assert ("forgot" in page) == (after < 0.83)
