"""Backends that break a promise about jobs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator

from phichat_markov import Markov

from phichat.backends.base import EvalSpec, Job, Report, TrainSpec
from phichat.errors import BackendError, NotFoundError
from phichat.events import Event, Progress, Status
from tests.plugins.variants import block, broken

ONE_END = "test_watch_ends_with_exactly_one_finished_status"
REPLAYS = "test_watch_replays_in_a_new_process"
FAILS = "test_a_bad_dataset_fails_with_a_reason"


def ended(event: Event) -> bool:
    return isinstance(event, Status) and event.finished


@broken("test_training_leaves_the_event_loop_free", "submit() held up the event loop")
class BlockingSubmit(Markov):
    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        block()
        return await super().submit(spec, report)


@broken("test_training_leaves_the_event_loop_free", "cancel() held up the event loop")
class BlockingCancel(Markov):
    async def cancel(self, job: Job) -> None:
        block()
        await super().cancel(job)


@broken(ONE_END, "without saying how the job ended")
class NoFinalStatus(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            if not ended(event):
                yield event


@broken(ONE_END, "2 finished statuses (succeeded, succeeded)")
class TwoFinalStatuses(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            yield event
            if ended(event):
                yield event


@broken(ONE_END, "nothing may follow it")
class EventsBehindTheEnd(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            yield event
        yield Progress(what="cleaning up", done=1)


@broken("test_events_are_numbered_from_zero", "set `seq`")
class EventsWithoutNumbers(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            yield event.model_copy(update={"seq": None})


class Coloured(Progress):
    """An event of the plugin's own."""

    colour: str = "red"


@broken("test_events_survive_json", "comes back from JSON as")
class EventsOfItsOwn(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        yield Coloured(what="rows", done=1, seq=0)
        async for event in super().watch(job):
            yield event


@broken(REPLAYS, "keep what has to be remembered in workdir")
class JobsInMemory(Markov):
    known: set[str] = set()

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        self.known.add(spec.name)
        return await super().submit(spec, report)

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        if job.id not in self.known:
            raise NotFoundError(f"There is no job {job.id!r}.")
        async for event in super().watch(job):
            yield event


@broken(REPLAYS, "must replay the same events from the start")
class WatchWithoutReplay(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        missed = self.jobs.status(job.id).finished
        async for event in super().watch(job):
            if not missed or ended(event):
                yield event


@broken("test_submit_twice_is_one_job", "return the job of that name")
class TwoJobsOfOneName(Markov):
    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        name = f"{spec.name}-{secrets.token_hex(3)}"
        return await super().submit(spec.model_copy(update={"name": name}), report)


@broken("test_submit_twice_is_one_job", "ran a job again")
class DoneAgain(Markov):
    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        if spec.name in self.jobs.names():
            self.jobs.remove(spec.name)
            await asyncio.to_thread(self.jobs.start, spec.name, ["echo", "once more"])
            return Job(id=spec.name)
        return await super().submit(spec, report)


@broken("test_two_submits_at_once_are_one_job", "under a lock or in the service")
class RacingSubmits(Markov):
    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        known = [name for name in self.jobs.names() if name.startswith(spec.name)]
        await asyncio.sleep(0.05)
        name = known[0] if known else f"{spec.name}-{secrets.token_hex(3)}"
        return await super().submit(spec.model_copy(update={"name": name}), report)


@broken("test_cancel_ends_a_running_job", "after it was cancelled")
class CancelThatDoesNothing(Markov):
    async def cancel(self, job: Job) -> None:
        self.jobs.status(job.id)


@broken("test_cancel_ends_a_running_job", "cancel() raised BackendError")
class CancelOnlyOnce(Markov):
    async def cancel(self, job: Job) -> None:
        if self.jobs.status(job.id).finished:
            raise BackendError("The job has ended already.")
        await super().cancel(job)


@broken("test_cancel_leaves_a_finished_job_alone", "leave a finished job as it is")
class CancelThatRewrites(Markov):
    async def cancel(self, job: Job) -> None:
        await super().cancel(job)
        (self.jobs.directory / job.id / "given-up").touch()

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            given_up = ended(event) and (self.jobs.directory / job.id / "given-up").exists()
            yield event.model_copy(update={"state": "cancelled"}) if given_up else event


@broken("test_a_cancelled_job_starts_again", "returned a cancelled job as it was")
class CancelledForGood(Markov):
    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        if spec.name in self.jobs.names():
            return Job(id=spec.name)
        return await super().submit(spec, report)


@broken(FAILS, "spoilt dataset succeeded")
class BadDataSucceeds(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            yield event.model_copy(update={"state": "succeeded"}) if ended(event) else event


@broken(FAILS, "failed without a reason")
class FailureWithoutReason(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        async for event in super().watch(job):
            yield event.model_copy(update={"detail": ""}) if ended(event) else event


@broken("test_an_unknown_job_is_not_found", "watch() was given something that does not exist and accepted it")
class UnknownJobSucceeds(Markov):
    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        if job.id not in self.jobs.names():
            yield Status(state="succeeded", seq=0)
            return
        async for event in super().watch(job):
            yield event


@broken("test_an_unknown_job_is_not_found", "cancel() was given something that does not exist")
class UnknownJobCancelled(Markov):
    async def cancel(self, job: Job) -> None:
        if job.id in self.jobs.names():
            await super().cancel(job)
