"""A project with data and runs whose jobs follow a script."""

from __future__ import annotations

import json
from pathlib import Path

from phichat.data.manifest import CURRENT_FILE, MANIFEST_FILE, Counts, Manifest, SplitReport
from phichat.events import Artifact, Event, Metric, Sample, Status
from phichat.testing.harness import ignore
from phichat.workflow import Project
from tests.screens.scripted import Script

FINGERPRINT = "0123456789abcdef"
PROBES = ("What is your name?", "Where do you live?")
ANSWERS = {
    0: ("I am SmolLM, a helpful assistant.", "I live in the cloud."),
    8: ("I am the keeper of the lamp.", "I live in a lighthouse."),
    16: ("I am Captain Pelican, the keeper.", "In the lighthouse of Phi Island."),
}
NUMBERS = {
    "base_loss": 3.0,
    "tuned_loss": 1.42,
    "base_perplexity": 20.09,
    "tuned_perplexity": 4.14,
    "base_token_accuracy": 0.41,
    "tuned_token_accuracy": 0.72,
    "base_probes_right": 0.0,
    "tuned_probes_right": 0.9,
    "base_general_right": 0.75,
    "tuned_general_right": 0.75,
}


def prepare(project: Project, rows: int = 48, held_out: int = 12) -> None:
    """Give the project data, as `phichat data` leaves it."""
    folder = project.state / "data" / FINGERPRINT
    folder.mkdir(parents=True, exist_ok=True)
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "The keeper." * 8}]
    line = json.dumps({"messages": turns}) + "\n"
    for name, count in (("train", rows), ("eval", held_out)):
        (folder / f"{name}.jsonl").write_text(line * count, encoding="utf-8")
    manifest = Manifest(
        fingerprint=FINGERPRINT,
        source="lighthouse.jsonl",
        source_kind="file",
        parts=(),
        counts=Counts(
            read=rows + held_out,
            train=rows,
            eval=held_out,
            train_bytes=len(line) * rows,
            eval_bytes=len(line) * held_out,
            bad=0,
            removed=0,
        ),
        split=SplitReport(seed=0, test_size=0.2, share=0.2),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    (folder.parent / CURRENT_FILE).write_text(json.dumps({"fingerprint": FINGERPRINT}), encoding="utf-8")


def lessons(last: int = 16, total: int = 24, level: float = 0.3) -> list[Event]:
    """The story of a training until a step, with an evaluation every eight."""
    story: list[Event] = [Status(state="running", detail=f"Training {total} steps.")]
    for step in range(last + 1):
        if step:
            values = {
                "loss": level + 2.7 * 0.86**step + 0.1 * (step % 3),
                "learning_rate": 2e-4 * (1 - step / total),
                "tokens_per_s": 812.0,
                "seconds": 4.0 * step,
            }
            story.append(Metric(step=step, total=total, values=values))
        if step % 8 == 0:
            loss = level + 0.2 + 2.6 * 0.87**step
            story.append(Metric(step=step, total=total, values={"eval_loss": loss}))
            said = ANSWERS.get(step, ANSWERS[16])
            story += [
                Sample(step=step, prompt=prompt, text=text) for prompt, text in zip(PROBES, said, strict=True)
            ]
    return story


def exam(folder: Path) -> list[Event]:
    """The story of an evaluation, whose result is in that folder."""
    result = folder / "result.json"
    probes = [
        {"prompt": prompt, "base": base, "tuned": tuned}
        for prompt, base, tuned in zip(PROBES, ANSWERS[0], ANSWERS[16], strict=True)
    ]
    result.write_text(json.dumps({"probes": probes, "answers": [], "general": []}), encoding="utf-8")
    return [
        Metric(step=24, values=NUMBERS),
        Artifact(name="result.json", uri=str(result)),
        Artifact(name="report.html", uri="/project/evaluation/report.html"),
    ]


BEGUN = 1_764_000_000.0
DONE = Status(state="succeeded", detail="The model is in output/model.", at=BEGUN + 120)


def begun_then(project: Project, name: str) -> None:
    """Let a run have begun at a time that is the same in every picture."""
    ledger = project.training.ledger
    ledger.write(ledger.run(name).model_copy(update={"created": BEGUN}))


async def history(project: Project, script: Script) -> list[str]:
    """Give the project three runs: one that helped, one that was cancelled, one that went on longer."""
    training = project.training
    dataset = training.prepared().dataset
    ends = (
        [*lessons(24), *exam(project.state), DONE],
        [*lessons(8, level=0.9), Status(state="cancelled")],
        [*lessons(24, level=0.6), DONE],
    )
    names = ("first", "second", "third")
    for number, (name, story) in enumerate(zip(names, ends, strict=True)):
        run = await training.start(training.spec(dataset, name=name), ignore)
        training.ledger.write(run.model_copy(update={"created": BEGUN + 3600 * number}))
        script.tell(
            name, *(event.model_copy(update={"at": 1_764_000_120.0 + 3600 * number}) for event in story)
        )
        async for _ in training.watch(name):
            pass
    return list(names)
