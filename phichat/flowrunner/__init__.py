"""Flows, run from outside: by Prompt flow in an environment of its own, or by their own plain server."""

from phichat.flowrunner.engines import ENGINES, Engine, EngineName, engine
from phichat.flowrunner.environment import Environment

__all__ = ["ENGINES", "Engine", "EngineName", "Environment", "engine"]
