"""Calls into a plugin: what it raises by mistake is told as its fault, and what never ends is given up."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from phichat.backends.registry import Registry
from phichat.errors import PhichatError, PluginError, of_the_disk

T = TypeVar("T")
_HERE = re.compile(r"\bphichat (?:login|provision)\b(?! --backend)")
"""Commands that make the place ready: elsewhere they would do nothing, or harm."""


class Guard:
    """Stands between us and one backend."""

    def __init__(self, name: str, registry: Registry, *, passing: bool = False) -> None:
        """`passing`: the backend was chosen for this command alone, and the next one must be told, too."""
        self._name = name
        self._registry = registry
        self._flag = f" --backend {name}" if passing else ""

    async def call(self, work: Awaitable[T]) -> T:
        """Await one of the backend's methods."""
        with self.blamed():
            return await work

    async def stream(self, parts: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Go through one of the backend's generators; closing this closes that."""
        with self.blamed():
            async with contextlib.aclosing(parts):
                async for part in parts:
                    yield part

    @contextlib.contextmanager
    def blamed(self) -> Any:
        """Turn what is neither our error nor the disk's into a `PluginError` that names the package."""
        try:
            yield
        except PhichatError as error:
            error.hint = self.here(error.hint)
            raise
        except Exception as error:
            raise of_the_disk(error) or self.fault(error) from error

    def here(self, hint: str) -> str:
        """The hint with a command that is about this backend, however it was chosen."""
        return _HERE.sub(rf"\g<0>{self._flag}", hint)

    def fault(self, error: BaseException) -> PluginError:
        """A stray exception as the sentence that a person sees."""
        # One line, whatever it says: it is shown in a list.
        told = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": .")
        return PluginError(f"Backend {self._name!r} failed: {told}.", self.advice())

    def advice(self) -> str:
        """What a person can do about a plugin that is broken."""
        package = self._registry.package(self._name)
        return f"This is a fault of {package or 'the plugin'}: update it, or choose another backend."


async def bounded(work: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
    """Run an async function in a thread and event loop of its own, so that one that blocks cannot hang us.

    Raises:
        TimeoutError: it took longer; its thread is left behind and does not keep the process alive.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not done.done():
            outcome()

    def run() -> None:
        try:
            outcome = partial(done.set_result, asyncio.run(work()))
        except BaseException as error:
            outcome = partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name="check", daemon=True).start()
    return await asyncio.wait_for(done, seconds)
