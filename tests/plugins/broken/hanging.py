"""Never answers when it is asked whether everything is in place."""

import threading

from phichat_markov import Markov

from phichat.backends.base import Check
from phichat.backends.hookspecs import hookimpl

RELEASED = threading.Event()
"""Lets the threads go that a test has left waiting."""


class Hanging(Markov):
    title = "Waits for ever"

    async def check(self) -> list[Check]:
        RELEASED.wait()
        return []


@hookimpl
def phichat_backend() -> type[Hanging]:
    return Hanging
