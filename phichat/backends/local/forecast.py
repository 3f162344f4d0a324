"""How long a training takes on this machine, and how much memory: from earlier runs, or the model's size."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from phichat.backends.base import Estimate
from phichat.backends.workload import Workload

Range = tuple[float, float]

CPU_FLOPS: Range = (40e9, 105e9)
"""Floating-point operations a second and core: short unpacked rows in float32, long packed ones in bfloat16.
Measured with SmolLM2 on a Xeon with AVX-512, 2026-11-22."""
FLOPS_PER_WEIGHT = {"full": 6.0, "lora": 4.0, "qlora": 4.0}
"""Of one token, forward and backward; frozen weights need no gradient of their own (arXiv:2001.08361)."""
START_S: Range = (20.0, 60.0)
"""Loading the libraries and the model, and saving it."""
EVALUATION_FLOPS_PER_WEIGHT: Range = (2e4, 1e5)
"""Two models answering a hundred questions with a few dozen words each."""
WEIGHT_BYTES = {"full": 16.0, "lora": 4.0, "qlora": 0.6}
"""Of one weight: full training keeps weights, gradients and two moments of Adam, all in float32."""
GPU_WEIGHT_BYTES = {"full": 16.0, "lora": 2.0, "qlora": 0.6}
"""There, frozen weights are in half precision."""
PROGRAM_BYTES = 0.7e9
"""PyTorch and its friends, before any model."""
ACTIVATIONS: Range = (40.0, 95.0)
"""Bytes for each token, layer and hidden unit: 41 in bfloat16 (computed), 93 with SmolLM2 (measured)."""
GPU_ACTIVATIONS: Range = (2.0, 12.0)
"""There, only what goes into a layer is kept, in half precision, and one layer at a time computed anew.
Computed; nobody has measured it yet."""
ANSWER_BYTES: Range = (4.0, 4.4)
"""Of one weight while it answers in float32, as on a CPU, and of what it remembers of conversations."""
GPU_SECONDS = 10.0
"""How long the GPU's own tool may take: it may have to wake the GPU up."""
LAYERS = 32
"""About as many as the models of the catalogue have; the hidden size follows from the parameters."""


def forecast(
    work: Workload,
    parameters: float | None,
    threads: int | None,
    speeds: Iterable[float],
    gpu: bool,
    gpu_free: float | None = None,
) -> Estimate:
    """The estimate for a training.

    `speeds` are tokens a second of earlier runs like it, `gpu_free` the bytes of a GPU that nobody uses.
    """
    measured = list(speeds)
    seconds: Range | None = None
    source = "from the model's size and what SmolLM2 needed on a Xeon, 2026-11-22"
    if measured:
        seconds = _plus(START_S, (work.tokens / max(measured) * 0.8, work.tokens / min(measured) * 1.3))
        source = f"as fast as {len(measured)} earlier run{'s' if len(measured) > 1 else ''} on this machine"
    elif parameters and not gpu:
        seconds = _plus(START_S, _by_size(work, parameters, threads or os.cpu_count() or 1))
    free = gpu_free if gpu else psutil.virtual_memory().available
    if gpu and free is not None and not measured:
        source = "memory of the GPU from the model's size, computed and not measured"
    return Estimate(
        seconds=seconds,
        usd=(0, 0),
        usd_per_hour=0,
        memory_bytes=_memory(work, parameters, gpu) if parameters and free is not None else None,
        memory_free=free,
        source=source,
    )


def to_answer(parameters: float) -> Range:
    """The memory that a model takes while it answers on a CPU."""
    low, high = (PROGRAM_BYTES + each * parameters for each in ANSWER_BYTES)
    return low, high


def on_gpu(device: str, system: str = sys.platform, machine: str = platform.machine()) -> bool:
    """Whether the trainer will compute on a GPU, as far as can be told without PyTorch."""
    if device == "auto":
        return shutil.which("nvidia-smi") is not None or (system, machine) == ("darwin", "arm64")
    return device != "cpu"


def lacking(method: str, device: str) -> str:
    """What this machine has not got for a method of training, in a sentence; empty if nothing is missing."""
    if method != "qlora":
        return ""
    # Whoever names the device knows more than a look at the PATH.
    if device != "cuda" and (device != "auto" or shutil.which("nvidia-smi") is None):
        return "The method qlora needs an NVIDIA GPU, and none is found here: choose lora instead."
    if importlib.util.find_spec("bitsandbytes") is None:
        return "The method qlora needs the package bitsandbytes, which is not installed: choose lora instead."
    return ""


def gpu_free() -> float | None:
    """Bytes of the first NVIDIA GPU that nobody uses; None where nobody can say."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=GPU_SECONDS, check=True)
        return float(told.stdout.split()[0]) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def speeds(jobs: Path, like: Mapping[str, Any]) -> Iterator[float]:
    """Tokens a second of the jobs in a folder whose configuration has these values: the median of each."""
    for file in sorted(jobs.glob("*/output/metrics.jsonl")):
        config = _json(file.parent.parent / "config.json")
        if any(config.get(name) != value for name, value in like.items()):
            continue
        lines = [_parsed(line).get("values", {}) for line in file.read_text(encoding="utf-8").splitlines()]
        told = [values["tokens_per_s"] for values in lines if values.get("tokens_per_s")]
        if len(told) > 2:
            yield median(told)


def _by_size(work: Workload, parameters: float, cores: int) -> Range:
    low, high = CPU_FLOPS
    trained = FLOPS_PER_WEIGHT[work.method] * parameters * work.tokens
    least, most = (parameters * flops for flops in EVALUATION_FLOPS_PER_WEIGHT)
    return (trained + least) / (high * cores), (trained + most) / (low * cores)


def _memory(work: Workload, parameters: float, gpu: bool) -> Range:
    units = math.sqrt(parameters * LAYERS / 12)
    weight_bytes, activations = (GPU_WEIGHT_BYTES, GPU_ACTIVATIONS) if gpu else (WEIGHT_BYTES, ACTIVATIONS)
    kept = PROGRAM_BYTES + weight_bytes[work.method] * parameters
    low, high = (kept + per * units * work.batch_tokens for per in activations)
    return low, high


def _plus(one: Range, other: Range) -> Range:
    return one[0] + other[0], one[1] + other[1]


def _json(file: Path) -> dict[str, Any]:
    try:
        return _parsed(file.read_text(encoding="utf-8"))
    except OSError:
        return {}


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
