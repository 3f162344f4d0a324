"""What a training or a deployment on Azure would cost: a range with where it comes from, never one number."""

from __future__ import annotations

from phichat.backends.azureml import machines
from phichat.backends.azureml.prices import Price
from phichat.backends.base import Estimate
from phichat.backends.workload import Workload

Range = tuple[float, float]

GPU_FLOPS = {
    "standard_nc24ads_a100_v4": 312e12,
    "standard_nc48ads_a100_v4": 2 * 312e12,
    "standard_nc96ads_a100_v4": 4 * 312e12,
    "standard_nc40ads_h100_v5": 835e12,
}
"""Peak in bfloat16 of a node's GPUs, by NVIDIA's data sheets (A100; H100 NVL)."""
UTILISATION: Range = (0.25, 0.45)
"""Share of the peak that training reaches."""
VCPU_FLOPS: Range = (20e9, 52e9)
"""Operations a second of one virtual processor, half a core: SmolLM2 on a Xeon with AVX-512, 2026-11-22."""
CPU_SIZES = {"standard_e16s_v3": 16, "standard_e4s_v3": 4}
FLOPS_PER_WEIGHT = {"full": 8.0, "lora": 6.0, "qlora": 6.0}
"""Of one token, forward and backward, and forward once more for gradient checkpointing (arXiv:2001.08361)."""
EVALUATION = 1.3
"""The evaluations and the report take up to this much more."""
START_S: Range = (10 * 60, 40 * 60)
"""Until the first step: a node, the image on it, the weights; the first time the image is built too."""
SHUTDOWN_S: Range = (2 * 60, 10 * 60)
"""From the last step until the node is gone and costs nothing."""


def training(
    work: Workload, parameters: float | None, size: str, nodes: int, price: Price | None
) -> Estimate:
    """The estimate of a training; what nobody knows is left open."""
    seconds = _seconds(work, parameters, size, nodes)
    source = price.source if price else "no price known"
    if seconds is None:
        source = f"{source}; how long it takes on {size} is not known"
    usd = None
    if seconds is not None and price is not None:
        usd = (
            (seconds[0] + SHUTDOWN_S[0]) / 3600 * price.low * nodes,
            (seconds[1] + SHUTDOWN_S[1]) / 3600 * price.high * nodes,
        )
    return Estimate(
        seconds=seconds, usd=usd, usd_rate=price.high * nodes if price else None, source=f"{size}, {source}"
    )


def serving(
    size: str,
    instances: int,
    price: Price | None,
    parameters: float | None = None,
    instead: tuple[str, Price | None] | None = None,
) -> Estimate:
    """The estimate of a deployment: nothing once, and so much for every hour that it is there.

    `instead` is a faster machine, told beside it with its price.
    """
    told = [machines.answering(size, parameters)]
    if instead is not None:
        other, much = instead
        costs = f"US${much.high * instances:.2f} an hour, " if much else ""
        told.append(f'{other} (size = "gpu"): {costs}{machines.answering(other, parameters)}')
    if parameters is not None:
        told.append(machines.ESTIMATED)
    source = f"{size}, {price.source if price else 'no price known'}; {'; '.join(told)}"
    if price is None:
        return Estimate(source=source)
    return Estimate(usd=(0, 0), usd_per_hour=price.high * instances, source=source)


def longest_seconds(max_usd: float, usd_rate: float) -> int:
    """How long a job may run for that money; the place itself stops it then, whoever watches or not."""
    return max(60, int(max_usd / usd_rate * 3600))


def _seconds(work: Workload, parameters: float | None, size: str, nodes: int) -> Range | None:
    speed = _speed(size.lower())
    if parameters is None or speed is None:
        return None
    needed = FLOPS_PER_WEIGHT[work.method] * parameters * work.tokens / nodes
    low, high = speed
    return START_S[0] + needed / high, START_S[1] + needed / low * EVALUATION


def _speed(size: str) -> Range | None:
    if size in GPU_FLOPS:
        return GPU_FLOPS[size] * UTILISATION[0], GPU_FLOPS[size] * UTILISATION[1]
    if size in CPU_SIZES:
        return VCPU_FLOPS[0] * CPU_SIZES[size], VCPU_FLOPS[1] * CPU_SIZES[size]
    return None
