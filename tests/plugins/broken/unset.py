"""Its settings are a plain dictionary."""

from typing import Any, cast

from phichat_markov import Markov

from phichat.backends.hookspecs import hookimpl


class Unset(Markov):
    settings_type = cast(Any, dict)


@hookimpl
def phichat_backend() -> type[Unset]:
    return Unset
