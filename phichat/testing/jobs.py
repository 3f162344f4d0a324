"""The standard tests of training: submit, watch and cancel."""

from __future__ import annotations

import asyncio
import time

from phichat.backends.base import AnyBackend, Dataset, Job
from phichat.errors import UnsupportedError
from phichat.events import Event, Status, dump, parse
from phichat.testing.data import lengthen, spoil
from phichat.testing.harness import Harness, ignore
from phichat.testing.standard import standard

NOWHERE = Job(id="no-such-job")


class JobTests(Harness):
    """A job is known by its name, runs by itself, and tells its whole story to whoever watches."""

    @standard
    async def test_watch_ends_with_exactly_one_finished_status(self, backend: AnyBackend) -> None:
        """A job on good data succeeds, and says so once, at the end."""
        events = (await self.trained()).events
        finished = [event for event in events if isinstance(event, Status) and event.finished]
        assert finished, (
            "watch() ended without saying how the job ended: yield one Status that is succeeded, failed or "
            "cancelled, as the last event."
        )
        assert len(finished) == 1, (
            f"watch() yielded {len(finished)} finished statuses "
            f"({', '.join(status.state for status in finished)}): yield one, when the job has really ended."
        )
        assert events[-1] is finished[0], (
            f"watch() went on after its finished Status with {dump(events[-1])}: nothing may follow it."
        )
        assert finished[0].state == "succeeded", (
            f"The job {finished[0].state} on good data ({finished[0].detail or 'no detail'}): "
            "mend the training."
        )

    @standard
    async def test_events_are_numbered_from_zero(self, backend: AnyBackend) -> None:
        """`seq` is the place in the stream: the ledger skips what it has by it."""
        numbers = [event.seq for event in (await self.trained()).events]
        assert numbers == list(range(len(numbers))), (
            f"watch() numbered its events {numbers[:8]}: set `seq` to 0, 1, 2 … in the order of the stream."
        )

    @standard
    async def test_events_survive_json(self, backend: AnyBackend) -> None:
        """An event that was written down and read again is the same event."""
        for event in (await self.trained()).events:
            again = parse(dump(event))
            assert again == event, (
                f"watch() yielded {event!r}, which comes back from JSON as {again!r}: yield the events of "
                "phichat.events themselves, with plain values."
            )

    @standard
    async def test_watch_replays_in_a_new_process(self, backend: AnyBackend) -> None:
        """Somebody who comes later sees the same events from the first one."""
        trained = await self.trained()
        output = await self.in_a_new_process(job=trained.job.model_dump())
        replayed = [parse(line) for line in output.splitlines()]
        assert _told(replayed) == _told(trained.events), (
            f"A new process saw {len(replayed)} events of the job where the first one saw "
            f"{len(trained.events)}, or others: watch() must replay the same events from the start."
        )

    @standard
    async def test_submit_twice_is_one_job(self, backend: AnyBackend) -> None:
        """The same name is the same job, and a job that is done is not done again."""
        trained = await self.trained()
        again = await self.submit(backend, self.train_spec("trained"))
        assert again.id == trained.job.id, (
            f"submit() made the jobs {trained.job.id!r} and {again.id!r} of one name: return the job of that "
            "name if there is one."
        )
        events = await self.collect(backend.watch, again)
        assert _told(events) == _told(trained.events), (
            "submit() ran a job again that had succeeded: return the job of that name as it is."
        )

    @standard
    async def test_two_submits_at_once_are_one_job(self, backend: AnyBackend) -> None:
        """Two windows that train the same thing at the same moment start one job."""
        spec = self.train_spec("at-once", self._endless())
        async with self.opened() as other:
            first, second = await asyncio.gather(self.submit(backend, spec), self.submit(other, spec))
            assert first.id == second.id, (
                f"Two submits of one name at once made the jobs {first.id!r} and {second.id!r}: make the "
                "check and the start one step, under a lock or in the service."
            )
            await self.call(backend.cancel, first)
            stories = await asyncio.gather(
                self.collect(backend.watch, first), self.collect(other.watch, second)
            )
        assert _told(stories[0]) == _told(stories[1]), (
            "Two submits of one name at once gave two watchers different events: only one job may run."
        )

    @standard
    async def test_cancel_ends_a_running_job(self, backend: AnyBackend) -> None:
        """A cancelled job ends soon, as cancelled; cancelling it again changes nothing."""
        job = await self.submit(backend, self.train_spec("cancelled", self._endless()))
        asked = time.time()
        await self.call(backend.cancel, job)
        await self.call(backend.cancel, job)
        last = _final(await self.collect(backend.watch, job))
        in_time = last.state == "succeeded" and last.at < asked
        assert last.state == "cancelled" or in_time, (
            f"The job {last.state} after it was cancelled: cancel() must end it, and watch() then ends with "
            "a Status that is cancelled."
        )

    @standard
    async def test_cancel_leaves_a_finished_job_alone(self, backend: AnyBackend) -> None:
        """What is done stays done."""
        trained = await self.trained()
        await self.call(backend.cancel, trained.job)
        last = _final(await self.collect(backend.watch, trained.job))
        assert last.state == _final(trained.events).state, (
            f"cancel() turned a job that had {_final(trained.events).state} into one that {last.state}: "
            "look first, and leave a finished job as it is."
        )

    @standard
    async def test_a_cancelled_job_starts_again(self, backend: AnyBackend) -> None:
        """Submitting a cancelled job goes on with it instead of reporting it as cancelled."""
        spec = self.train_spec("resumed", self._endless())
        job = await self.submit(backend, spec)
        await self.call(backend.cancel, job)
        before = await self.collect(backend.watch, job)
        again = await self.submit(backend, spec)
        after = await self.take(len(before), backend.watch, again)
        await self.call(backend.cancel, again)
        assert not (isinstance(after[-1], Status) and after[-1].state == "cancelled"), (
            "submit() returned a cancelled job as it was: start it again, from its last complete checkpoint."
        )

    @standard
    async def test_a_bad_dataset_fails_with_a_reason(self, backend: AnyBackend) -> None:
        """Data that is none is refused by `submit`, or fails the job, in words."""
        folder = self.bench.folder / "bad"
        missing = Dataset(train_file=folder / "missing.jsonl")
        await self._must_fail(backend, "spoilt", spoil(folder))
        await self._must_fail(backend, "missing", missing)

    @standard
    async def test_an_unknown_job_is_not_found(self, backend: AnyBackend) -> None:
        """Every method that takes a job says NotFoundError to one that there is not."""
        await self.missing(backend.watch, NOWHERE)
        await self.missing(backend.cancel, NOWHERE)
        if backend.supports("fetch"):
            await self.missing(backend.fetch, NOWHERE, self.bench.folder / "fetched", ignore)
        if backend.supports("logs"):
            await self.missing(backend.logs, NOWHERE)

    @standard
    async def test_training_leaves_the_event_loop_free(self, backend: AnyBackend) -> None:
        """Nothing blocks while a job is submitted, watched and cancelled."""
        spec = self.train_spec("responsive", self._endless())
        async with self.responsive(backend.submit):
            job = await self.submit(backend, spec)
        async with self.responsive(backend.watch):
            await self.take(1, backend.watch, job)
        async with self.responsive(backend.cancel):
            await self.call(backend.cancel, job)
        async with self.responsive(backend.watch):
            await self.collect(backend.watch, job)

    def _endless(self) -> Dataset:
        """More data than any backend gets through before it is told to stop."""
        data = self.bench.folder / "data"
        return lengthen(self.dataset(data), data)

    async def _must_fail(self, backend: AnyBackend, label: str, dataset: Dataset) -> None:
        spec = self.train_spec(label, dataset)
        error = await self.refusal(backend.submit, spec, ignore)
        if error is not None:
            assert error.message, "submit() refused a bad dataset without a word: say what is wrong with it."
            assert not isinstance(error, UnsupportedError), (
                "submit() refuses all data: name this test in `skips` with the reason why you do not train."
            )
            return
        last = _final(await self.collect(backend.watch, await self.submit(backend, spec)))
        assert last.state == "failed", (
            f"A job on a {label} dataset {last.state}: let it end as failed, with the reason as detail."
        )
        assert last.detail, (
            f"A job on a {label} dataset failed without a reason: put it into the detail of the last Status."
        )


def _final(events: list[Event]) -> Status:
    """How a job ended."""
    last = events[-1] if events else None
    assert isinstance(last, Status), "watch() did not end with a Status: yield one when the job has ended."
    return last


def _told(events: list[Event]) -> list[str]:
    """What events say, whenever they were said."""
    return [dump(event.model_copy(update={"at": 0.0})) for event in events]
