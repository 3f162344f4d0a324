"""What happens between two steps of training: metrics are told, checkpoints sealed, wishes to end heeded."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate.state import PartialState  # type: ignore[import-untyped]
from transformers import TrainerCallback

import checkpoints
from answering import answers
from failures import Cancelled, TrainError
from interruption import Interruption
from jobevents import Events
from material import Material
from record import Record
from settings import TrainSettings
from tracking import Tracking


class Reporter(TrainerCallback):
    """Tells metrics as they come, and ends the run when the loss is no number any more."""

    def __init__(
        self,
        settings: TrainSettings,
        material: Material,
        events: Events,
        record: Record,
        tracking: Tracking,
        *,
        spread: bool,
    ) -> None:
        self._settings = settings
        self._spread = spread
        self._tokenizer = material.tokenizer
        self._ends = material.masker.stop_tokens
        self._events = events
        self._record = record
        self._tracking = tracking
        self._before = record.seconds
        self._start = self._last = time.monotonic()
        self._tokens = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The clock starts here: loading the model is no training."""
        self._start = self._last = time.monotonic()
        again = f"from step {state.global_step}" if state.global_step else ""
        self._events.status("running", f"Training {state.max_steps} steps {again}".strip() + ".")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step that is kept is looked at first: what is no number must never become a checkpoint."""
        if control.should_save or control.should_evaluate:
            control.should_log = True

    def on_log(  # type: ignore[override]
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any
    ) -> None:
        """Tell the metrics of one step.

        Raises:
            TrainError: the loss is not finite.
        """
        if "loss" not in logs:
            return
        now = time.monotonic()
        tokens = logs.get("num_tokens", 0.0)
        known = ("loss", "learning_rate", "grad_norm")
        values: dict[str, float] = {name: float(logs[name]) for name in known if name in logs}
        values["token_accuracy"] = float(logs.get("mean_token_accuracy", 0.0))
        values["tokens_per_s"] = max(0.0, tokens - self._tokens) / max(now - self._last, 1e-9)
        values["memory"] = float(memory(args.device))
        self._last, self._tokens = now, tokens
        self._tell(state, values)
        if not math.isfinite(values["loss"]):
            raise TrainError(
                f"The loss is no number any more at step {state.global_step}. Lower learning_rate "
                f"(it is {self._settings.learning_rate:g}), and start a new run."
            )

    def on_evaluate(  # type: ignore[override]
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], model: Any, **kwargs: Any
    ) -> None:
        """Tell the eval loss, and what the model answers to the probes now."""
        values = {name: metrics[name] for name in ("eval_loss", "eval_token_accuracy")}
        new = self._tell(state, values)
        # One process is enough to ask, where it has all of the weights.
        if new and state.is_world_process_zero and not self._spread:
            self._probe(state.global_step, model)

    def _probe(self, step: int, model: Any) -> None:
        probes = self._settings.probes
        conversations = [[{"role": "user", "content": probe.prompt}] for probe in probes]
        said = answers(
            model,
            self._tokenizer,
            conversations,
            ends=self._ends,
            max_new_tokens=self._settings.answer_tokens,
        )
        for probe, text in zip(probes, said, strict=True):
            self._events.sample(step, probe.prompt, text)

    def _tell(self, state: Any, values: dict[str, float]) -> bool:
        values |= {
            "epoch": float(state.epoch or 0),
            "seconds": self._before + time.monotonic() - self._start,
        }
        if not self._record.add(state.global_step, state.max_steps, values):
            return False
        self._events.metric(state.global_step, state.max_steps, values)
        self._tracking.metrics(state.global_step, values)
        return True


class Checkpoints(TrainerCallback):
    """Seals a checkpoint when it is written, and removes those that nobody needs."""

    def __init__(self, directory: Path, stop: Interruption) -> None:
        self._directory = directory
        self._stop = stop

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The best checkpoint is known by its step: the run may have been started in another folder."""
        best = self._best(state)
        if best is not None and best.is_dir():
            state.best_model_checkpoint = str(best)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Who is asked to end keeps what was learned until now, if all processes are asked."""
        if self._stop.agreed():
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Every process has written its part: now the checkpoint is complete."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            checkpoints.mark(self._directory / f"checkpoint-{state.global_step}")
            checkpoints.prune(self._directory, self._best(state))
        if self._stop.agreed():
            raise Cancelled(f"Stopped after step {state.global_step}; start it again to go on.")

    def _best(self, state: Any) -> Path | None:
        step = state.best_global_step
        return self._directory / f"checkpoint-{step}" if step else None


def memory(device: torch.device) -> int:
    """Bytes in use: of the GPU at their peak, else of this process now."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return int(psutil.Process().memory_info().rss)
