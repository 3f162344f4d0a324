"""The two ways to run a flow, with one contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import Field

from phichat.backends.base import Report, Value
from phichat.flowrunner.environment import Environment

EngineName = Literal["promptflow", "plain"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
Flow = Literal["chat", "evaluate"]
Row = Mapping[str, Any]


class Command(NamedTuple):
    """A process: its arguments, which everybody here can read, and its variables, which nobody can."""

    argv: list[str]
    environ: dict[str, str]


class Results(Value):
    """What became of the rows of a batch, by their number, counted from 0; each is in one of the two."""

    done: dict[int, dict[str, Any]]
    failed: dict[int, str]
    metrics: dict[str, float] = Field(default_factory=dict)


class Engine(ABC):
    """Serves the chat flow, and runs any flow over many rows."""

    name: EngineName

    def check(self) -> None:
        """See that it is there, before anything is done for it.

        Raises:
            ConfigError: it is not set up.
        """
        return

    @abstractmethod
    def server(self, port: int, folder: Path) -> Command:
        """The server of the chat flow on this machine; what it has to write goes into the folder.

        Raises:
            ConfigError: the engine is not set up.
        """

    @abstractmethod
    async def batch(
        self, flow: Flow, rows: Sequence[Row], folder: Path, environ: Mapping[str, str], report: Report
    ) -> Results:
        """Run a flow over rows that all have the same keys; what it has to write goes into the folder.

        Raises:
            ConfigError: the engine is not set up.
            BackendError: it failed as a whole.
        """


def engine(name: EngineName, environment: Environment) -> Engine:
    """The engine of that name."""
    from phichat.flowrunner.plain import Plain
    from phichat.flowrunner.promptflow import PromptFlow

    return PromptFlow(environment) if name == "promptflow" else Plain()
