"""Being asked to end: heard wherever the signal finds the process."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from failures import Cancelled
from interruption import Interruption


@pytest.fixture
def stop() -> Iterator[Interruption]:
    """Listens to this process's signals, as long as the test lasts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    interruption = Interruption()
    interruption.install()
    yield interruption
    for number, handler in before.items():
        signal.signal(number, handler)


def test_before_training_it_ends_at_once(stop: Interruption) -> None:
    with pytest.raises(Cancelled):
        signal.raise_signal(signal.SIGTERM)


def test_in_training_it_waits_for_the_step_and_the_second_time_for_nothing(stop: Interruption) -> None:
    with stop.after_this_step():
        assert not stop.agreed()
        signal.raise_signal(signal.SIGTERM)
        assert stop.agreed()
        with pytest.raises(Cancelled):
            signal.raise_signal(signal.SIGINT)


class Finalised:
    """Is asked to end while it is thrown away: Python lets no exception out of there."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_python_swallowed_is_heard_before_the_first_step(stop: Interruption) -> None:
    Finalised()
    with pytest.raises(Cancelled), stop.after_this_step():
        pass
