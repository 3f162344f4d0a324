"""Machines that answer chats: two of them by a short name, and how fast each one can answer."""

from __future__ import annotations

from typing import NamedTuple

Range = tuple[float, float]

PRESETS = {"cpu": "Standard_E4s_v3", "gpu": "Standard_NC24ads_A100_v4"}
"""What may stand for a size: four cores as in Microsoft's tutorial, and one A100."""
CUT_OFF_S = 180.0
"""After which Azure ends a request, whoever is still answering."""
LONG = 512
"""Tokens of an answer that nobody should expect to be cut off."""
ESTIMATED = "estimated from memory bandwidth, not measured"
LIMIT = 40.0
"""Tokens a second of PyTorch with one token at a time, however fast the memory: it starts each layer anew."""
LARGE = 1e9
"""Weights from which four cores keep a person waiting."""
ROOM = 0.9
"""Share of the memory that weights may take; the rest is for the conversation."""


class Machine(NamedTuple):
    """What the speed of an answer depends on."""

    bandwidth: Range
    """Bytes a second from memory: shares of NVIDIA's peaks; of processors from 9 GB/s measured on a core."""
    memory: float
    """Bytes, of the GPU where it has one."""
    per_weight: int
    """Bytes: 16 bits on a GPU, 32 on a processor."""


MACHINES = {
    "standard_e4s_v3": Machine((10e9, 25e9), 32 * 2**30, 4),
    "standard_e16s_v3": Machine((40e9, 80e9), 128 * 2**30, 4),
    "standard_nc24ads_a100_v4": Machine((0.5 * 1.9e12, 0.8 * 1.9e12), 80e9, 2),
    "standard_nc40ads_h100_v5": Machine((0.5 * 3.9e12, 0.8 * 3.9e12), 94e9, 2),
}


def size_named(size: str) -> str:
    """A size as Azure calls it."""
    return PRESETS.get(size.lower(), size)


def answering(size: str, parameters: float | None) -> str:
    """How fast a machine answers one person: each token takes a look at every weight in its memory."""
    speed = _speed(size, parameters)
    if speed is None or parameters is None:
        return "how many tokens a second is not known"
    machine = MACHINES[size.lower()]
    needed = machine.per_weight * parameters
    if needed > machine.memory * ROOM:
        return (
            f"the model's {needed / 1e9:.0f} GB do not fit into its memory of {machine.memory / 1e9:.0f} GB"
        )
    told, longest = f"some {_told(speed)} tokens a second", speed[0] * CUT_OFF_S
    if longest < LONG:
        told += f", cut off by Azure after {CUT_OFF_S / 60:.0f} minutes ({longest:.0f} tokens or more)"
    return told


def faster(size: str, parameters: float | None) -> str:
    """A machine to choose instead, where a person would wait long for a large model; or empty."""
    machine = MACHINES.get(size.lower())
    slow = machine is not None and machine.per_weight == 4 and (parameters or 0) >= LARGE
    return PRESETS["gpu"] if slow else ""


def _speed(size: str, parameters: float | None) -> Range | None:
    """Tokens a second; None where nobody knows."""
    machine = MACHINES.get(size.lower())
    if machine is None or parameters is None:
        return None
    low, high = (min(each / (machine.per_weight * parameters), LIMIT) for each in machine.bandwidth)
    return low, high


def _told(speed: Range) -> str:
    slow, fast = speed
    if slow == fast:
        return f"{fast:.0f}"
    return f"{slow:.1f} to {fast:.1f}" if fast < 10 else f"{slow:.0f} to {fast:.0f}"
