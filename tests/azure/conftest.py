"""What the tests of Azure share: a cloud for each module, and the environment that leads to it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.azure.standin.cloud import Cloud, opened


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The stand-in, reached by nothing but environment variables; what it did not know fails the module."""
    with warnings.catch_warnings():
        # The SDK is written for an older marshmallow, and says so when it is imported.
        warnings.simplefilter("ignore")
        import azure.ai.ml  # noqa: F401
    with (
        opened(tmp_path_factory.mktemp("azure")) as (cloud, environment),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        yield cloud
        assert not cloud.unknown, cloud.unknown[0]


@pytest.fixture
def cloud(azure: Cloud) -> Iterator[Cloud]:
    """The stand-in as it is now, with nothing recorded and nothing going wrong."""
    azure.forget()
    yield azure
    assert not azure.unknown, azure.unknown[0]
