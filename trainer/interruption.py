"""Being asked to end: at once while nothing is lost by it, else after the step that is being computed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from failures import Cancelled

TOLD = "Stopped; start it again to go on."


class Interruption:
    """Whether somebody has asked this process to end, by SIGTERM or Ctrl-C."""

    def __init__(self) -> None:
        self._asked = False
        self._patient = False

    def install(self) -> None:
        """Listen from now on. The second time is always heeded at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    @contextlib.contextmanager
    def after_this_step(self) -> Iterator[None]:
        """Training: who asks waits until the step is done and kept.

        Raises:
            Cancelled: somebody has asked already, but where Python lets no exception out, as in a finaliser.
        """
        if self._asked:
            raise Cancelled(TOLD)
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def agreed(self) -> bool:
        """Whether any process of a distributed run was asked: they must all end after the same step."""
        import torch

        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._asked
        on_gpu = torch.distributed.get_backend() == "nccl"
        asked = torch.tensor(int(self._asked), device="cuda" if on_gpu else "cpu")
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked.item())

    def _ask(self, number: int, frame: FrameType | None) -> None:
        again, self._asked = self._asked, True
        if again or not self._patient:
            raise Cancelled(TOLD)
