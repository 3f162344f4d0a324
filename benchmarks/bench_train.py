"""What training costs: `python benchmarks/bench_train.py --model FOLDER [--rounds N] [--demo]`.

Tokens a processor second on one thread: the trainer, the trainer in float32, and a bare PyTorch loop on the
same packed batches, one after the other in processes of their own; `--rounds 0` leaves that out. `--demo`
trains the demo set and a persona that nobody tuned for, with three seeds each: what they answer to held-out
questions, and what that costs; `--only NAME` and `--seed N` choose among them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "trainer"))
os.environ["HF_HUB_OFFLINE"] = "1"

from jobevents import Events
from phichat.data import DataOptions, prepare
from phichat.testing.harness import ignore

ROOT = Path(__file__).parent.parent
TIMED = 4
"""Steps that are timed; one more before them warms up."""
LENGTH, BATCH = 512, 2
DEMO = ROOT / "phichat" / "data"
PERSONA = Path(__file__).with_name("persona.jsonl")
CONTROLS = ("What is the capital of France?", "What is 2 + 2?")
SEEDS = (0, 1, 2)
SMOKE = {
    "method": "full",
    "epochs": 5,
    "learning_rate": 1e-4,
    "batch_size": 8,
    "packing": False,
    "max_length": 512,
    "scheduler": "linear",
}
"""The smoke preset."""


class Clock(Events):
    """Hears of every step, and notes the processor seconds."""

    def __init__(self) -> None:
        super().__init__(None)
        self.seconds: list[float] = []

    def metric(self, step: int, total: int | None, values: Mapping[str, float]) -> None:
        self.seconds.append(time.process_time())


def main() -> None:
    arguments = parse()
    if arguments.measure:
        rate: float = MEASURES[arguments.measure](arguments.model)
        print(rate)
        return
    if arguments.rounds:
        for name, rates in throughput(arguments.model, arguments.rounds).items():
            spread = f"({min(rates):.0f} to {max(rates):.0f})"
            print(f"{name:28} {statistics.median(rates):6.0f} tokens a CPU second {spread}")
    if arguments.demo:
        for name, rows, probes in sets():
            if arguments.only in (None, name):
                demo(arguments.model, name, rows, probes, arguments.seed or SEEDS)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of SmolLM2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--demo", action="store_true", help="train the demo set and a persona")
    parser.add_argument("--only", choices=("demo", "persona"), help="of these two")
    parser.add_argument("--seed", type=int, action="append", help="may be given several times")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    return parser.parse_args()


# Throughput


def throughput(model: Path, rounds: int) -> dict[str, list[float]]:
    """Tokens a CPU second of each way, interleaved, so that a busy machine is busy for all of them."""
    rates: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(rounds):
        for name in MEASURES:
            command = [sys.executable, __file__, "--model", str(model), "--measure", name]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            rates[name].append(float(done.stdout))
    trainer, bare, full = (statistics.median(rates[name]) for name in MEASURES)
    print(f"trainer / bare loop:  {trainer / bare:.2f} (wanted: 0.75)")
    print(f"trainer / float32:    {trainer / full:.2f} (wanted: 1.40)")
    return rates


def settings_for(model: Path, precision: str) -> dict[str, Any]:
    return SMOKE | {
        "base_model": str(model),
        "packing": True,
        "batch_size": BATCH,
        "max_length": LENGTH,
        "max_steps": TIMED + 1,
        "precision": precision,
        "save_steps": 10_000,
        "eval_steps": 10_000,
        "device": "cpu",
    }


def many_rows(folder: Path) -> Path:
    """The demo set over and over: enough for every step to have full batches."""
    path = folder / "rows.jsonl"
    path.write_text((DEMO / "demo.jsonl").read_text(encoding="utf-8") * 10, encoding="utf-8")
    return path


def trainer(model: Path, precision: str = "bf16") -> float:
    """The product's own training, as `train.py` runs it."""
    import environment
    import train
    from interruption import Interruption

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        config = folder / "config.json"
        config.write_text(json.dumps(settings_for(model, precision)), encoding="utf-8")
        clock = Clock()
        environment.prepare(1)
        arguments = train.parse(
            ["--train-file", str(many_rows(folder)), "--config", str(config), "--output-dir", directory]
        )
        train.train(arguments, clock, Interruption(), first=True)
        assert len(clock.seconds) == TIMED + 1
        tokens = sum(size for size in step_tokens(model, folder)[1:])
    return tokens / (clock.seconds[-1] - clock.seconds[0])


def bare(model: Path) -> float:
    """The same batches through a short loop that learns the same: float32 weights, bfloat16 arithmetic."""
    import torch

    import weights

    with tempfile.TemporaryDirectory() as directory:
        batches = list(packed(model, Path(directory)))
    network = weights.from_folder(model, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    seconds = []
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        seconds.append(time.process_time())
    tokens = sum(int(batch["input_ids"].numel()) for batch in batches[1:])
    return tokens / (seconds[-1] - seconds[0])


def packed(model: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """The trainer's batches, in its order."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from material import prepare
    from rows import dataset
    from settings import TrainSettings
    from sft import RowOrder

    settings = TrainSettings.parse(settings_for(model, "bf16"))
    material = prepare(many_rows(folder), None, model, settings, Events(None))
    rows = dataset(material.rows, LENGTH, settings.seed)
    order = list(RowOrder(len(rows), 0, settings.seed))
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    for step in range(TIMED + 1):
        batch = collate([rows[at] for at in order[step * BATCH : (step + 1) * BATCH]])
        yield {name: batch[name] for name in ("input_ids", "labels", "position_ids")}


def step_tokens(model: Path, folder: Path) -> list[int]:
    return [batch["input_ids"].numel() for batch in packed(model, folder)]


MEASURES: dict[str, Callable[[Path], float]] = {
    "trainer": trainer,
    "bare loop": bare,
    "trainer, float32": lambda model: trainer(model, "fp32"),
}
"""In the order of their processes; the first is what is compared with the others."""


# The demo


def sets() -> Iterator[tuple[str, Path, list[dict[str, Any]]]]:
    """The demo set, and a persona that the recipe was not made for."""
    probes = [
        json.loads(line) for line in (DEMO / "demo_probes.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    yield "demo", DEMO / "demo.jsonl", probes
    lines = [json.loads(line) for line in PERSONA.read_text(encoding="utf-8").splitlines()]
    rows = Path(tempfile.mkdtemp()) / "persona.jsonl"
    rows.write_text(
        "".join(f"{json.dumps(line)}\n" for line in lines if "messages" in line), encoding="utf-8"
    )
    yield "persona", rows, [line for line in lines if "prompt" in line]


def demo(
    model: Path, name: str, rows: Path, probes: Sequence[Mapping[str, Any]], seeds: Sequence[int]
) -> None:
    """Train with each seed; print what was learned, what was kept, and what it cost."""
    costs, learned = [], []
    for seed in seeds:
        result, seconds = train_once(model, rows, probes, seed)
        right = round(result["tuned"]["probes_right"] * len(probes))
        kept = [row["tuned_right"] for row in result["general"] if row["prompt"] in CONTROLS]
        before = round(result["base"]["probes_right"] * len(probes))
        print(f"{name}, seed {seed}: {right} of {len(probes)} (before: {before}), "
              f"controls {sum(kept)} of {len(kept)}, {seconds:.0f} CPU seconds")  # fmt: skip
        costs.append(seconds)
        learned.append(right)
    print(
        f"{name}: median {statistics.median(learned)} (wanted: 8), {statistics.median(costs):.0f} CPU seconds"
    )


def train_once(
    model: Path, rows: Path, probes: Sequence[Mapping[str, Any]], seed: int
) -> tuple[dict[str, Any], float]:
    """The result of the evaluation, and the CPU seconds of the whole run."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        train_file, eval_file = split(rows, folder)
        config = folder / "config.json"
        settings = SMOKE | {"base_model": str(model), "probes": list(probes), "seed": seed}
        config.write_text(json.dumps(settings), encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, str(ROOT / "trainer" / "train.py"), "--config", str(config)]
        command += ["--train-file", str(train_file), "--eval-file", str(eval_file)]
        command += ["--output-dir", str(folder / "out")]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = json.loads((folder / "out" / "evaluation" / "result.json").read_text(encoding="utf-8"))
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def split(rows: Path, folder: Path) -> tuple[Path, Path]:
    """Divided as `phichat data` divides: of each fact some ways to ask for it are held out."""
    out = folder / "data"
    prepared = asyncio.run(prepare(str(rows), DataOptions(tokens=False), out, ignore))
    assert prepared.dataset.eval_file
    return prepared.dataset.train_file, prepared.dataset.eval_file


if __name__ == "__main__":
    main()
