"""The five screens in the order of the work; each is imported when somebody first goes there."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phichat.screens.session import Session
    from phichat.screens.stage import StageScreen


@dataclass(frozen=True)
class Stage:
    """One of the application's screens."""

    name: str
    title: str
    screen: str
    """Where its class is: `module:class`."""

    def open(self, session: Session) -> StageScreen:
        """The screen, made now."""
        module, _, name = self.screen.partition(":")
        made: StageScreen = getattr(import_module(module), name)(session)
        return made


STAGES = (
    Stage("configure", "Configure", "phichat.screens.configure:ConfigureScreen"),
    Stage("data", "Data", "phichat.screens.data:DataScreen"),
    Stage("train", "Train", "phichat.screens.train:TrainScreen"),
    Stage("deploy", "Deploy", "phichat.screens.deploy:DeployScreen"),
    Stage("chat", "Chat", "phichat.screens.chat:ChatScreen"),
)
