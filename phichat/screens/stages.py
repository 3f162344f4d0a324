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
    aim: str
    """What is done there, as a sentence."""
    screen: str
    """Where its class is: `module:class`."""

    def open(self, session: Session) -> StageScreen:
        """The screen, made now."""
        module, _, name = self.screen.partition(":")
        made: StageScreen = getattr(import_module(module), name)(session)
        return made


STAGES = (
    Stage(
        "configure",
        "Configure",
        "Choose backend and model; is everything in place?",
        "phichat.screens.configure.screen:ConfigureScreen",
    ),
    Stage(
        "data",
        "Data",
        "Make conversations training data.",
        "phichat.screens.data.screen:DataScreen",
    ),
    Stage(
        "train",
        "Train",
        "Fine-tune the model, and see how that goes.",
        "phichat.screens.train.screen:TrainScreen",
    ),
    Stage(
        "deploy",
        "Deploy",
        "Let a model answer; see what that costs.",
        "phichat.screens.deploy.screen:DeployScreen",
    ),
    Stage("chat", "Chat", "Talk with the model.", "phichat.screens.chat.screen:ChatScreen"),
)
