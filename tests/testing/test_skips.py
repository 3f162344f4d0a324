"""A standard test is left out with a reason, in the open, or not at all."""

from __future__ import annotations

import pytest

from phichat.testing import BackendConformance
from phichat.testing.conformance import standard_tests

pytest_plugins = ["pytester"]

REASON = "The service has no such thing."


class Honest(BackendConformance):
    backend_name = "local"
    skips = {"test_check_answers": REASON}


class Silent(BackendConformance):
    skips = {"test_check_answers": " "}


class Mistaken(BackendConformance):
    skips = {"test_chek_answers": REASON}


class Replaced(BackendConformance):
    def test_check_answers(self) -> None:
        """Nothing to see here."""


class Removed(BackendConformance):
    test_check_answers = None  # type: ignore[assignment]


def test_a_skip_with_a_reason_is_right() -> None:
    Honest().test_skips_have_reasons()


@pytest.mark.parametrize(
    ("suite", "says"),
    [
        (Silent, "names 'test_check_answers' without a reason"),
        (Mistaken, "names 'test_chek_answers', which is no standard test"),
        (Replaced, "replaces test_check_answers()"),
        (Removed, "replaces test_check_answers()"),
    ],
)
def test_a_wrong_skip_is_told(suite: type[BackendConformance], says: str) -> None:
    with pytest.raises(AssertionError) as caught:
        suite().test_skips_have_reasons()
    assert says in str(caught.value)


AUTHORS_FILE = f"""
from phichat.testing import BackendConformance

class TestLocal(BackendConformance):
    backend_name = "local"
    skips = {{"test_check_answers": {REASON!r}, "test_check_never_raises": ""}}
"""


def test_pytest_shows_the_reason(pytester: pytest.Pytester) -> None:
    """Run as an author would: another project, and nothing configured for us."""
    pytester.makepyfile(AUTHORS_FILE)
    chosen = "skips or check_answers or check_never_raises"
    result = pytester.runpytest_subprocess("-rs", "-k", chosen, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*test_check_never_raises' without a reason*", f"*{REASON}"])


def test_every_standard_test_says_what_it_is_about() -> None:
    silent = [name for name, test in standard_tests().items() if not test.__doc__]
    assert not silent
