"""Its hook gives an object where a class is asked for, and the object cannot even say what it is."""

from phichat.backends.hookspecs import hookimpl


class Chatty:
    """Cannot be shown in one line, or at all."""

    def __repr__(self) -> str:
        raise RuntimeError("not\nready")


@hookimpl
def phichat_backend() -> Chatty:
    return Chatty()
