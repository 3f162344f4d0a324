"""How a coroutine becomes a standard test that any pytest runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from phichat.backends.base import AnyBackend
from phichat.testing.harness import Harness

H = TypeVar("H", bound=Harness)


def standard(test: Callable[[H, AnyBackend], Awaitable[None]]) -> Callable[[H], None]:
    """Give the test an open backend and an event loop of its own.

    So the author needs no plugin of pytest, and no test can lean on what another one left in memory.
    """

    def run(self: H) -> None:
        __tracebackhide__ = True

        async def main() -> Exception | None:
            try:
                async with self.opened() as backend:
                    await test(self, backend)
            except Exception as error:
                return error
            return None

        # Raised out here, the error shows the test's own lines and none of asyncio's.
        error = asyncio.run(main())
        if error is not None:
            raise error

    run.__name__, run.__doc__, run.__qualname__ = test.__name__, test.__doc__, test.__qualname__
    run.__module__ = test.__module__
    return run
