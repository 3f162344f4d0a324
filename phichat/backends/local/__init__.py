"""The backend that is this machine: it costs nothing, and works without a network."""

from phichat.backends.base import AnyBackend
from phichat.backends.hookspecs import hookimpl
from phichat.backends.local.backend import LocalBackend
from phichat.backends.local.settings import LocalSettings

__all__ = ["LocalBackend", "LocalSettings", "phichat_backend"]


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    """This machine."""
    return LocalBackend
