"""Taking down several things: each is tried, and what failed is told in the end."""

from __future__ import annotations

import asyncio

import pytest

from phichat.backends.base import Resource
from phichat.errors import AuthError, BackendError, QuotaError
from phichat.workflow.removing import remove_all

RESOURCES = [Resource(kind="cluster", name=name, state="awake") for name in ("a", "b", "c")]


class Remover:
    """Fails for some names."""

    def __init__(self, **fails: BaseException) -> None:
        self.fails = fails
        self.tried = ""

    async def __call__(self, resource: Resource) -> None:
        self.tried += resource.name
        if resource.name in self.fails:
            raise self.fails[resource.name]


async def test_each_is_tried_and_all_that_failed_is_told() -> None:
    remove = Remover(a=QuotaError("No room.", "phichat status"), b=BackendError("It is stuck."))
    with pytest.raises(BackendError) as caught:
        await remove_all(RESOURCES, remove)
    assert remove.tried == "abc"
    told = "2 of 3 could not be removed and may cost on: cluster a: No room; cluster b: It is stuck."
    assert (caught.value.message, caught.value.hint) == (told, "phichat status")


async def test_one_kind_of_failure_stays_that_kind() -> None:
    with pytest.raises(AuthError, match=r"1 of 3 .*cluster b: Not signed in") as caught:
        await remove_all(RESOURCES, Remover(b=AuthError("Not signed in.")))
    assert caught.value.hint == "phichat down"
    with pytest.raises(AuthError, match=r"^Not signed in\.$"):
        await remove_all(RESOURCES[:1], Remover(a=AuthError("Not signed in.")))


async def test_a_bug_keeps_none_of_the_others_alive() -> None:
    remove = Remover(a=ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await remove_all(RESOURCES, remove)
    assert remove.tried == "abc"


async def test_a_cancellation_ends_it_at_once() -> None:
    remove = Remover(a=BackendError("It is stuck."), b=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await remove_all(RESOURCES, remove)
    assert remove.tried == "ab"
