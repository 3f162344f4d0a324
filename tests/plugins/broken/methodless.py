"""Its class has a title and nothing else."""

from phichat.backends.base import Backend, Settings
from phichat.backends.hookspecs import hookimpl


class Methodless(Backend[Settings]):
    title = "Nothing in it"
    settings_type = Settings


@hookimpl
def phichat_backend() -> type[Methodless]:
    return Methodless
