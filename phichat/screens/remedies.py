"""What of the application does the same as the command that an error's hint names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from phichat.errors import BackendError, ConfigError, PhichatError

STAGE_OF: Mapping[str, str] = {
    "init": "configure",
    "check": "configure",
    "provision": "configure",
    "login": "configure",
    "secret": "configure",
    "models": "configure",
    "backends": "configure",
    "data": "data",
    "train": "train",
    "runs": "train",
    "watch": "train",
    "cancel": "train",
    "logs": "train",
    "fetch": "train",
    "eval": "train",
    "deploy": "deploy",
    "traffic": "deploy",
    "rollback": "deploy",
    "env": "deploy",
    "status": "deploy",
    "flow": "deploy",
    "down": "deploy",
    "chat": "chat",
    "history": "chat",
}
"""Where in the application each command of the shell has its place."""
SIGN_IN = "Sign in here"
_PAGE = re.compile(r"(https://portal\.azure\.com[^\s]*)(?: \(([^)]+)\))?")
_COMMAND = re.compile(r"\bphichat ([a-z]+)((?: +(?!or\b)[^\s'(),;…]*[^\s'(),;….:])*)")


@dataclass(frozen=True)
class Remedy:
    """What can be done about an error from within the application."""

    title: str
    """As a button says it."""
    stage: str = ""
    """Where to go; empty: nowhere."""
    command: tuple[str, ...] = ()
    """What the screen there is to do, as the words of a command line after `phichat`."""
    text: str = ""
    """What to copy, for a command that only a shell can run."""


def remedy(problem: PhichatError, here: str = "") -> Remedy | None:
    """What does in the application what the hint says; None where that is up to the person alone.

    On the stage `here` one need not go there.
    """
    found = _remedy(problem)
    there = found is not None and found.title == _go(here)
    return None if there else found


def _remedy(problem: PhichatError) -> Remedy | None:
    if found := _COMMAND.search(problem.hint):
        stage = STAGE_OF.get(found[1])
        if stage:
            words = (found[1], *_words(found[2]))
            if words[0] == "logs" and "/" in words[-1]:
                stage = "deploy"  # a deployment on its endpoint, and no run
            return Remedy(_title(words) or _go(stage), stage, words)
    if "az login" in problem.hint and isinstance(problem, BackendError):
        return Remedy(SIGN_IN, "configure", ("login",))  # without `az`, too
    if found := re.search(r"\b(?:pip install|az login)\b[^\n.;,]*", problem.hint):
        return Remedy("Copy the command", text=found[0].strip())
    if isinstance(problem, ConfigError):
        return Remedy(_go("configure"), "configure")
    return None


def lacks_the_place(problem: PhichatError) -> bool:
    """Whether signing in, or making the place ready, mends it: both are done on the spot."""
    found = remedy(problem)
    return found is not None and found.command[:1] in (("login",), ("provision",))


def page(problem: PhichatError) -> tuple[str, str] | None:
    """The page of the web that a hint names, and what the hint says to fill in there."""
    found = _PAGE.search(problem.hint)
    return (found[1].rstrip(".,;"), found[2] or "") if found else None


def _go(stage: str) -> str:
    return f"Go to {stage.capitalize()}"


def _title(words: tuple[str, ...]) -> str:
    """What a command does, where the screen of its stage does it; empty where one only goes there."""
    match words:
        case ("check",):
            return "Check"
        case ("login", *_):
            return SIGN_IN
        case ("provision", *_):
            return "Make it ready here"
        case ("data", "demo"):
            return "Take the demo data"
        case ("init", *_):
            return "Set up a project"
        case ("backends", *_):
            return "Choose a backend"
        case ("models", "pull", model):
            return f"Download {model}"
        case ("models", *_):
            return "Choose a model"
        case ("flow", "setup"):
            return "Set up Prompt flow"
        case ("flow", "serve", "--port", port):
            return f"Take port {port}"
        case ("flow", "serve", *_):
            return "Start the flow server"
        case ("secret", "set", *_):
            return "Set the secret"
    return ""


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text.strip().rstrip("."))
    except ValueError:  # a quote that is not closed belongs to the sentence
        return text.split()
