"""Its hook fails."""

from phichat.backends.base import AnyBackend
from phichat.backends.hookspecs import hookimpl


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    raise RuntimeError("no licence\nfound on this machine")
