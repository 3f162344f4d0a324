"""Its hook gives nothing."""

from phichat.backends.base import AnyBackend
from phichat.backends.hookspecs import hookimpl


@hookimpl
def phichat_backend() -> type[AnyBackend] | None:
    return None
