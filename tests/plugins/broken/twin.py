"""Has the name that another package has too."""

from phichat_markov import Markov

from phichat.backends.hookspecs import hookimpl


@hookimpl
def phichat_backend() -> type[Markov]:
    return Markov
