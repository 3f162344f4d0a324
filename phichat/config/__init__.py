"""Flags, environment and files become one validated configuration that knows where each value came from."""

from phichat.config.loading import Loaded, Setting, backend_settings, load
from phichat.config.schema import Config
from phichat.config.secret import redact
from phichat.config.sources import Origin

__all__ = ["Config", "Loaded", "Origin", "Setting", "backend_settings", "load", "redact"]
