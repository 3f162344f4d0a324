"""Its settings class cannot be made: no form and no file can hold a value of that type."""

from socket import socket

from phichat_markov import Markov
from pydantic import Field

from phichat.backends.base import Settings
from phichat.backends.hookspecs import hookimpl


class UnsoundSettings(Settings):
    place: socket = Field(description="Where it happens.")


@hookimpl
def phichat_backend() -> type[Markov]:
    return Markov
