"""Did it help? The base model beside the tuned one: on held-out conversations, probes and general questions.

Progress goes to standard output, one JSON object a line. `--output-dir` gets `result.json` and `report.html`,
which opens without a network. It ends as `train.py` does.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import environment
import report
import weights
from conversations import fingerprint
from exam import asked, compared, examine, metrics, prepare
from failures import Cancelled, sentence
from files import read_json, write, write_json
from interruption import Interruption
from jobevents import Events
from saving import FACTS, tell
from settings import EvalSettings, Settings, SettingsError, TrainSettings

RESULT, REPORT = "result.json", "report.html"


def main(argv: list[str] | None = None) -> int:
    """Evaluate, and say how it ended; returns the exit code."""
    arguments = parse(argv)
    events = Events.on_stdout()
    try:
        Interruption().install()
        events.status("preparing", "Reading the settings and the conversations.")
        settings = EvalSettings.load(arguments.config)
        environment.prepare(settings.threads)
        model = weights.locate(arguments.model, None, events)
        base = base_of(model, arguments.base, events)
        events.status("running")
        result = evaluate(model, base, arguments.data, settings, arguments.output_dir.absolute(), events)
    except SettingsError as error:
        events.status("failed", str(error))
        return 2
    except Cancelled as cancelled:
        events.status("cancelled", str(cancelled))
        return 143
    except Exception as error:
        traceback.print_exc()
        events.status("failed", sentence(error, arguments.output_dir))
        return 1
    events.status("succeeded", in_words(result))
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="evaluate.py", description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--model", required=True, help="folder of the tuned model")
    parser.add_argument("--base", help="folder or hub id of the base model; default: as the tuned model says")
    parser.add_argument("--data", type=Path, required=True, help="conversations held out, as chat JSONL")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the settings")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder for the result and the report")
    return parser.parse_args(argv)


def base_of(model: Path, named: str | None, events: Events) -> Path | None:
    """The folder of the base model; None, and a sentence, if the tuned model's own is out of reach."""
    if named:
        return weights.locate(named, None, events)
    known = read_json(model / FACTS)
    if not known.get("base_model"):
        return None
    try:
        return weights.locate(known["base_model"], known.get("revision"), events)
    except Exception as error:
        events.log(f"Evaluating without the base model. {sentence(error, model)}")
        return None


def evaluate(
    model: Path,
    base: Path | None,
    data: Path,
    settings: EvalSettings,
    output: Path,
    events: Events,
    step: int = 0,
) -> dict[str, Any]:
    """Examine both models and write the result and the report; `step` is the training step for the events."""
    start = time.monotonic()
    exam = prepare(data, settings)
    papers = {}
    for name, folder in (("base", base), ("tuned", model)):
        if folder is not None:
            papers[name] = examine(name, folder, exam, settings, events)
            gc.collect()  # one model in memory at a time
    result: dict[str, Any] = {
        "model": str(model),
        "base_model": str(base) if base else None,
        "data": {"file": str(data), "sha256": fingerprint(data), "rows": len(exam.rows)},
        "settings": settings.as_json(),
        "seconds": round(time.monotonic() - start, 1),
        **{name: metrics(paper, exam, settings) for name, paper in papers.items()},
        "answers": compared(papers, exam, settings),
        "probes": asked("probes", exam.probes, papers),
        "general": asked("general", exam.general, papers),
    }
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / RESULT, result)
    write(output / REPORT, report.render(result, training(model)))
    events.metric(step, None, numbers_of(result))
    for probe in result["probes"]:
        events.sample(step, probe["prompt"], probe["tuned"])
    for name in (RESULT, REPORT):
        events.artifact(name, str(output / name))
    return result


def after_training(
    settings: TrainSettings, base: Path, data: Path, output: Path, step: int, events: Events
) -> dict[str, float]:
    """Evaluate the model that a run has left in `output`; if that fails, the model is no worse for it.

    Returns the numbers, for whoever keeps them; none if they are kept already.
    """
    folder, model = output / "evaluation", output / "model"
    if (folder / RESULT).is_file():
        events.step("evaluate", "reused")
        return {}
    gc.collect()  # the trained model: two more are about to be loaded
    events.step("evaluate", "running")
    shared = {name: settings.as_json()[name] for name in Settings.__dataclass_fields__}
    try:
        result = evaluate(model, base, data, EvalSettings.parse(shared), folder, events, step)
        tell(model, read_json(model / FACTS) | summary(result))
    except Exception as error:
        traceback.print_exc()
        events.step("evaluate", "failed", sentence(error, folder))
        return {}
    events.step("evaluate", "done", in_words(result))
    return numbers_of(result)


def training(model: Path) -> list[dict[str, Any]]:
    """The metrics of the run that the model lies in, if it does."""
    path = model.parent / "metrics.jsonl"
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    )


def numbers_of(result: dict[str, Any]) -> dict[str, float]:
    """The result as one set of metrics, none of which has the name of one of training."""
    return {
        f"{model}_{name}": value
        for model in ("base", "tuned")
        for name, value in result.get(model, {}).items()
    }


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """What of the result belongs into the model's own folder."""
    return {
        "evaluation": {name: result[name] for name in ("base", "tuned") if name in result},
        "probes": [{"prompt": probe["prompt"], "answer": probe["tuned"]} for probe in result["probes"]],
    }


def in_words(result: dict[str, Any]) -> str:
    """The result in one line."""
    tuned, base = result["tuned"], result.get("base")
    before = f", of the base model {base['perplexity']:.2f}" if base else ""
    return f"Perplexity of the tuned model {tuned['perplexity']:.2f}{before}."


if __name__ == "__main__":
    sys.exit(main())
