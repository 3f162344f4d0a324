"""Calls of a backend's methods with a deadline, where every failure is one sentence for its author."""

from __future__ import annotations

import asyncio
import sysconfig
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

from phichat.errors import BackendError, NotFoundError
from phichat.testing.heartbeat import Heartbeat, heartbeat

P = ParamSpec("P")
T = TypeVar("T")

LIMITS = {
    "check": "check_seconds",
    "submit": "train_seconds",
    "watch": "train_seconds",
    "cancel": "train_seconds",
    "fetch": "train_seconds",
    "chat": "chat_seconds",
}
"""Which attribute of the author bounds which method; `deploy_seconds` bounds all others."""


class Calls:
    """How long a backend may take, and how the standard tests call it."""

    check_seconds: ClassVar[float] = 10.0
    """How long `check` may take."""
    train_seconds: ClassVar[float] = 60.0
    """How long a job on 32 conversations may take, and `submit`, `cancel` and `fetch` each."""
    deploy_seconds: ClassVar[float] = 60.0
    """How long `deploy`, `delete` and the like may take."""
    chat_seconds: ClassVar[float] = 30.0
    """How long a short answer may take."""
    blocked_seconds: ClassVar[float] = 0.25
    """How long the event loop may stand still: what a person feels as a stutter."""

    async def call(self, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a method returns in its time."""
        __tracebackhide__ = True

        async def attempt() -> T:
            return await method(*args, **kwargs)

        with _accepted(method):
            return await self._within(method, attempt())

    async def collect(
        self, method: Callable[P, AsyncGenerator[T, None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[T]:
        """All that a method yields in its time."""
        __tracebackhide__ = True

        async def drain() -> list[T]:
            return [item async for item in method(*args, **kwargs)]

        with _accepted(method):
            return await self._within(method, drain())

    async def take(
        self, count: int, method: Callable[P, AsyncGenerator[T, None]], *args: P.args, **kwargs: P.kwargs
    ) -> list[T]:
        """The first `count` items that a method yields, which is then left alone."""
        __tracebackhide__ = True

        async def some() -> list[T]:
            items: list[T] = []
            async with aclosing(method(*args, **kwargs)) as generator:
                async for item in generator:
                    items.append(item)
                    if len(items) == count:
                        break
            return items

        with _accepted(method):
            return await self._within(method, some())

    async def refusal(
        self, method: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> BackendError | None:
        """The error with which a method refuses its arguments; None when it takes them."""
        __tracebackhide__ = True

        async def attempt() -> None:
            result = method(*args, **kwargs)
            if isinstance(result, AsyncGenerator):
                async for _ in result:
                    pass
            else:
                await result

        try:
            await self._within(method, attempt())
        except BackendError as error:
            return error
        return None

    async def missing(self, method: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Expect a NotFoundError."""
        __tracebackhide__ = True
        error = await self.refusal(method, *args, **kwargs)
        if not isinstance(error, NotFoundError):
            did = "accepted it" if error is None else f"raised {type(error).__name__}"
            raise AssertionError(
                f"{method.__name__}() was given something that does not exist and {did}: "
                "raise phichat.errors.NotFoundError with a sentence that names it."
            ) from error

    @asynccontextmanager
    async def responsive(self, method: Callable[..., Any]) -> AsyncIterator[None]:
        """Expect the event loop not to stand still inside the block."""
        __tracebackhide__ = True
        async with heartbeat() as heart:
            yield
        if heart.silence > self.blocked_seconds:
            raise AssertionError(
                f"{method.__name__}() held up the event loop for {heart.silence:.1f} s at {_place(heart)}: "
                "move what blocks there into asyncio.to_thread()."
            )

    async def _within(self, method: Callable[..., Any], attempt: Awaitable[T]) -> T:
        __tracebackhide__ = True
        limit = LIMITS.get(method.__name__, "deploy_seconds")
        seconds: float = getattr(self, limit)
        try:
            async with asyncio.timeout(seconds) as deadline:
                return await attempt
        except BackendError:
            raise
        except Exception as error:
            if deadline.expired():
                raise AssertionError(
                    f"{method.__name__}() did not end within {seconds:g} s: find out what it waits for, "
                    f"or raise `{limit}` in your test class."
                ) from error
            raise AssertionError(
                f"{method.__name__}() raised {type(error).__name__}: {error}. Only a BackendError may leave "
                "a backend's method: catch this one and raise the fitting class of phichat.errors from it."
            ) from error


@contextmanager
def _accepted(method: Callable[..., Any]) -> Iterator[None]:
    """Say what a refusal means to the author of a backend that should not have refused."""
    __tracebackhide__ = True
    try:
        yield
    except BackendError as error:
        raise AssertionError(
            f"{method.__name__}() raised {type(error).__name__}: {error} It should work here: mend it, "
            "or name this test in `skips` with the reason why it cannot."
        ) from error


def _place(heart: Heartbeat) -> str:
    """The innermost line that was at work during the longest silence, outside the standard library."""
    library = sysconfig.get_path("stdlib")
    ours = [
        frame
        for frame in heart.stack
        if not frame.filename.startswith(library) or "site-packages" in frame.filename
    ]
    frame = (ours or heart.stack)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}()"
