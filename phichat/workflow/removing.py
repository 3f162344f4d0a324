"""Taking down several things: one that cannot be removed keeps none of the others alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from phichat.backends.base import Resource
from phichat.errors import BackendError, PhichatError


async def remove_all(resources: Sequence[Resource], remove: Callable[[Resource], Awaitable[None]]) -> None:
    """Remove each of them, whatever becomes of the others; only a cancellation ends it early.

    Raises:
        PhichatError: what could not be removed, and why, told when all was tried.
    """
    failed: list[tuple[Resource, PhichatError]] = []
    stray: Exception | None = None
    for resource in resources:
        try:
            await remove(resource)
        except PhichatError as error:
            failed.append((resource, error))
        except Exception as error:
            stray = stray or error
    if failed:
        raise _together(failed, len(resources)) from failed[0][1]
    if stray is not None:
        raise stray


def _together(failed: Sequence[tuple[Resource, PhichatError]], count: int) -> PhichatError:
    """One error for all: with the first one's advice, or the way to try again."""
    hint = failed[0][1].hint or "phichat down"
    if count == 1:
        return type(failed[0][1])(failed[0][1].message, hint)
    told = "; ".join(f"{each.kind} {each.name}: {error.message.rstrip('.')}" for each, error in failed)
    kinds = {type(error) for _, error in failed}
    kind = kinds.pop() if len(kinds) == 1 else BackendError
    return kind(f"{len(failed)} of {count} could not be removed and may cost on: {told}.", hint)
