"""Runs `train.py` on a device without double precision, as Apple's GPUs are.

A script for the zygote: the processor plays the device.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch


class OnDevice(torch.Tensor):
    """A tensor of the device: in double precision it can only be had from the processor."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result: Any = super().__torch_function__(function, types, args, kwargs)  # type: ignore[no-untyped-call]
        if function is torch.Tensor.cpu:
            return result.as_subclass(torch.Tensor)
        _refuse_double(result)
        return result


def main(argv: list[str]) -> int:
    """Train."""
    trainer: Any = importlib.import_module("sft").ChatTrainer
    accelerator: Any = importlib.import_module("accelerate").Accelerator
    judge, reduce = trainer._judge, accelerator.reduce

    def judged(self: Any, model: Any, inputs: Any) -> tuple[torch.Tensor, ...]:
        parts = judge(self, model, inputs)
        return parts if torch.is_grad_enabled() else tuple(part.as_subclass(OnDevice) for part in parts)

    def reduced(self: Any, tensor: torch.Tensor, *args: Any) -> Any:
        _refuse_double(tensor)  # what is shared with other processes lies on the device
        return reduce(self, tensor, *args)

    trainer._judge, accelerator.reduce = judged, reduced
    code: int = importlib.import_module("train").main(argv)
    return code


def _refuse_double(tensor: Any) -> None:
    if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
        raise TypeError("The device has no double precision.")
