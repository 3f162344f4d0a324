"""The example plugin, installed for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.install import EXAMPLE, write_example_metadata


@pytest.fixture(scope="package", autouse=True)
def markov(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The example as `pip install` would leave it: found by metadata, importable by name."""
    site = tmp_path_factory.mktemp("site")
    write_example_metadata(site)
    with pytest.MonkeyPatch.context() as patch:
        for folder in (EXAMPLE, site):
            patch.syspath_prepend(str(folder))
        yield
