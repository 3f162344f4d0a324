"""The conformance suite is tried by breaking the example: each break is caught by the test that names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from phichat.testing import BackendConformance
from phichat.testing.conformance import standard_tests
from phichat.testing.harness import Bench
from tests.plugins.install import write_metadata
from tests.plugins.variants import (  # noqa: F401  # importing them fills VARIANTS
    VARIANTS,
    Variant,
    chats,
    deployments,
    jobs,
    optional,
    plugins,
    sdk,
)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All variants, as one more installed package."""
    site = tmp_path_factory.mktemp("variants")
    entry_points = {name: variant.entry_point for name, variant in VARIANTS.items()}
    write_metadata(site, "phichat-variants", entry_points)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield


@pytest.mark.parametrize("name", VARIANTS)
def test_a_break_is_caught_by_the_test_that_names_it(name: str, tmp_path: Path) -> None:
    variant = VARIANTS[name]
    with pytest.raises(AssertionError) as caught:
        run(name, variant, tmp_path)
    message = str(caught.value)
    assert variant.says in message
    assert "\n" not in message, "an author reads one sentence"


def test_every_standard_test_is_tried() -> None:
    about_the_author = {"test_skips_have_reasons"}  # tried in test_skips.py
    assert {variant.test for variant in VARIANTS.values()} == set(standard_tests()) - about_the_author


def run(name: str, variant: Variant, folder: Path) -> None:
    """Run one standard test on a variant, as pytest would."""

    class Suite(BackendConformance):
        backend_name = name
        settings = {"delay": 0.01}
        bench = Bench(folder)

    for limit, seconds in variant.limits.items():
        setattr(Suite, limit, seconds)
    try:
        getattr(Suite(), variant.test)()
    finally:
        Suite.teardown_class()
