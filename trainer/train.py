"""Fine-tunes a chat model on `--train-file` with the settings of `--config`, into `--output-dir/model`.

Progress goes to standard output, one JSON object a line; everything else to standard error. Run again on the
same folder, it goes on from the last complete checkpoint; under `torchrun` or `accelerate launch` it is one
distributed run. It ends with 0 when the model is there, 1 when it failed, 2 when the settings are wrong, and
143 when it was asked to end.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import checkpoints
import environment
import identity
import weights
from conversations import fingerprint
from failures import Cancelled, disk_full, out_of_memory, sentence
from interruption import Interruption
from jobevents import Events
from record import Record
from settings import SettingsError, TrainSettings
from tracking import Tracking

if TYPE_CHECKING:
    from material import Material
    from sft import ChatTrainer


@dataclass(frozen=True)
class Run:
    """What one run of this script was asked, and whom it tells."""

    train_file: Path
    eval_file: Path | None
    output: Path
    settings: TrainSettings
    data: str
    """Names the dataset."""
    events: Events
    stop: Interruption
    record: Record
    tracking: Tracking
    first: bool
    """Whether this is the first of the processes, the one that speaks and writes."""


def main(argv: list[str] | None = None) -> int:
    """Train, and say how it ended; returns the exit code."""
    arguments = parse(argv)
    first = os.environ.get("RANK", "0") == "0"
    events = Events.on_stdout(speaking=first)
    stop = Interruption()
    try:
        stop.install()
        events.status("preparing", "Reading the settings and loading the libraries.")
        detail = train(arguments, events, stop, first)
    except SettingsError as error:
        events.status("failed", str(error))
        return 2
    except Cancelled as cancelled:
        events.status("cancelled", str(cancelled))
        return 143
    except Exception as error:
        words = sentence(error, arguments.output_dir)
        if first and disk_full(error):
            discard_incomplete(arguments.output_dir)  # there must be room for the words, too
        traceback.print_exc()
        events.status("failed", words)
        return 1
    events.status("succeeded", detail)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="train.py", description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "--train-file", type=Path, required=True, help="conversations to learn, as chat JSONL"
    )
    parser.add_argument("--eval-file", type=Path, help="conversations held out, to evaluate on")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the settings")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the run")
    return parser.parse_args(argv)


def train(arguments: argparse.Namespace, events: Events, stop: Interruption, first: bool) -> str:
    """One run from its settings to its evaluation; what is there already is not done again."""
    settings = TrainSettings.load(arguments.config)
    environment.prepare(settings.threads)
    output: Path = arguments.output_dir.absolute()
    data = settings.data_fingerprint or fingerprint(arguments.train_file)
    if first:
        output.mkdir(parents=True, exist_ok=True)
        identity.claim(output, settings, data)
    record = Record(output / "metrics.jsonl" if first else None)
    tracking = Tracking.of(settings, events, first)
    files = arguments.train_file, arguments.eval_file
    run = Run(*files, output, settings, data, events, stop, record, tracking, first)
    with tracking.run(settings, output / "mlflow.json"):
        base = weights.locate(settings.base_model, settings.revision, events)
        if (output / "model").is_dir():
            events.step("train", "reused", "The model is there already.")
        else:
            make(run, base)
        if first and settings.evaluate and run.eval_file:
            from evaluate import after_training

            step = record.step
            tracking.metrics(step, after_training(settings, base, run.eval_file, output, step, events))
    events.artifact("model", str(output / "model"))
    return closing_words(run)


def make(run: Run, base: Path) -> None:
    """Train and save: afterwards the model is there, and no checkpoint is needed any more."""
    import saving
    from facts import facts, learned
    from material import prepare

    material = prepare(run.train_file, run.eval_file, base, run.settings, run.events)
    settings, trainer = fit_or_halve(run, material)
    run.events.step("save", "running")
    known = facts(run.settings, material, run.data) | {"training": learned(trainer, run.record)}
    saving.save(trainer, base, run.output, settings, ends=material.masker.stop_tokens, facts=known)
    run.events.step("save", "done")
    trainer.finish()
    if run.first:
        run.tracking.model(run.output / "model")
        shutil.rmtree(run.output / "checkpoints", ignore_errors=True)


def fit_or_halve(run: Run, material: Material) -> tuple[TrainSettings, ChatTrainer]:
    """Train; if memory runs out, once more with half the rows in memory. Returns the settings that did it."""
    import sft

    settings = run.settings
    try:
        return settings, fit(run, material, settings)
    except Exception as error:
        # Processes that wait for each other cannot begin again one by one.
        if not out_of_memory(error) or settings.batch_size == 1 or "WORLD_SIZE" in os.environ:
            raise
        traceback.print_exc()
    gc.collect()  # the failed attempt's model and gradients
    settings = sft.halved(settings)
    run.events.log(
        f"Memory ran out. Going on with batch_size {settings.batch_size} "
        f"and gradient_accumulation {settings.gradient_accumulation}."
    )
    return settings, fit(run, material, settings)


def fit(run: Run, material: Material, settings: TrainSettings) -> ChatTrainer:
    """Train to the end, from the last complete checkpoint if there is one."""
    import sft
    from callbacks import Checkpoints, Reporter

    directory = run.output / "checkpoints"
    checkpoints.remove_incomplete(directory)
    last = checkpoints.last(directory)
    run.events.step("base model", "running", settings.base_model)
    trainer = sft.trainer(material, settings, directory, fresh=last is None)
    told = run.events, run.record, run.tracking
    trainer.add_callback(Reporter(settings, material, *told, spread=trainer.spread))
    trainer.add_callback(Checkpoints(directory, run.stop))
    run.events.step("base model", "done", settings.base_model)
    with run.stop.after_this_step():
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    return trainer


def discard_incomplete(output: Path) -> None:
    """Remove what was being written when it failed: a later attempt writes it anew."""
    checkpoints.remove_incomplete(output / "checkpoints")
    shutil.rmtree(output / "model.partial", ignore_errors=True)


def closing_words(run: Run) -> str:
    """The run in one line."""
    lines = [line for line in run.record.lines() if "eval_loss" in line["values"]]
    losses = [(line["step"], float(line["values"]["eval_loss"])) for line in lines]
    words = f"The model is in {run.output / 'model'}."
    if not losses:
        return words
    last = losses[-1]
    # The evaluation before the training has no checkpoint that could be kept.
    kept = min(losses[1:] or losses, key=lambda each: each[1]) if run.settings.keep_best else last
    words = f"{words} Eval loss: {losses[0][1]:.3f} before, {kept[1]:.3f} after"
    return f"{words}." if kept == last else f"{words} (step {kept[0]}, kept; {last[1]:.3f} at the last)."


if __name__ == "__main__":
    sys.exit(main())
