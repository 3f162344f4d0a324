"""Runs `train.py` with the weights spread over processors, which accelerate does for GPUs only (FSDP).

A script for the zygote: the environment says what `accelerate launch` would have said.
"""

from __future__ import annotations

import importlib
from typing import Any

ENVIRONMENT = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Phi3DecoderLayer",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",  # accelerate's own choice
}


def main(argv: list[str]) -> int:
    """Train."""
    state: Any = importlib.import_module("accelerate.state")
    init = state.AcceleratorState.__init__

    def spread(self: Any, *args: Any, fsdp_plugin: Any = None, **options: Any) -> None:
        init(self, *args, fsdp_plugin=fsdp_plugin, **options)
        if fsdp_plugin is not None:
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = state.DistributedType.FSDP
            state.PartialState._shared_state["distributed_type"] = self.distributed_type

    state.AcceleratorState.__init__ = spread
    code: int = importlib.import_module("train").main(argv)
    return code
