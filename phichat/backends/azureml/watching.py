"""A run as a stream of events: the log's own lines, between what the run history tells of their job."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends.azureml import arm as waiting
from phichat.backends.azureml.command import OUTPUT, run_folder
from phichat.backends.azureml.failures import clean, diagnose
from phichat.backends.azureml.reports import Reports
from phichat.backends.azureml.storage import uri
from phichat.backends.azureml.telling import TAKEN, Telling, lines_of, seen
from phichat.errors import AuthError, UnavailableError
from phichat.events import Event, Log, Status, parse

if TYPE_CHECKING:
    from phichat.backends.azureml.history import Details, History
    from phichat.backends.azureml.jobs import Attempt, Jobs
    from phichat.backends.azureml.workspace import Workspace

POLL_S = {True: 3.0, False: 10.0}
"""Seconds between two looks, by whether the job runs: before, nothing happens for minutes."""
SILENCE = 200
"""Looks in a row without an answer, after which a broken network is told: about an hour."""
LONGEST_S = 30.0


_ON_THE_NODE = re.compile(rf"[^\s\"']*/{OUTPUT}/")


class Watching:
    """Follows runs through all their attempts. What was told once is told again in the same order."""

    def __init__(self, workspace: Workspace, jobs: Jobs, workdir: Path) -> None:
        self._workspace = workspace
        self._reports = Reports(workspace, workdir / "reports")
        self._stories = workdir / "stories"
        self._jobs = jobs
        self._history: History | None = None

    async def watch(self, name: str) -> AsyncGenerator[Event, None]:
        """The run's events from its first, then as they come, to exactly one finished `Status`.

        Raises:
            NotFoundError: there is no such run.
        """
        seq, number, folder = 0, 1, uri(run_folder(name))
        attempts = await self._jobs.attempts(name)
        while True:
            last: Status | None = None
            async for event in self._events(attempts[number - 1]):
                event = await self._reports.home(_placed(event, folder))
                if isinstance(event, Status) and event.finished:
                    last = event
                    continue
                yield event.model_copy(update={"seq": seq})
                seq += 1
            if number == len(attempts):
                # It may have been started again while it was watched.
                attempts = await self._jobs.attempts(name)
            if number == len(attempts):
                assert last is not None
                yield last.model_copy(update={"seq": seq})
                return
            number += 1

    async def logs(self, name: str) -> AsyncGenerator[str, None]:
        """Every line that the run has written so far; where its command never ran, what Azure wrote.

        Raises:
            NotFoundError: there is no such run.
        """
        for attempt in await self._jobs.attempts(name):
            details = await self._details(attempt.name)
            addresses = [details.log] if details.log else [details.logs[key] for key in sorted(details.logs)]
            for address in addresses:
                content = await self._read(address, 0) or b""
                for line in lines_of(content.decode("utf-8", errors="replace")):
                    yield line

    def close(self) -> None:
        """Let go of connections."""
        if self._history is not None:
            self._history.close()

    async def _events(self, attempt: Attempt) -> AsyncGenerator[Event, None]:
        """One attempt, to its finished status."""
        details = await self._details(attempt.name)
        yield _queued(attempt, details)
        # Another workspace may have another job of that name: when it was made tells them apart.
        made = int(details.created or 0)
        telling = await asyncio.to_thread(Telling, self._stories / f"{attempt.name}-{made}.txt")
        try:
            async for event in self._told(attempt, _Log(telling)):
                yield event
        finally:
            telling.close()

    async def _told(self, attempt: Attempt, log: _Log) -> AsyncGenerator[Event, None]:
        """What one attempt tells after it was queued."""
        begun = False
        taken, failed = False, 0
        while True:
            details = await self._details(attempt.name)
            if details.begun and not begun:
                yield Status(
                    state="preparing",
                    detail="Azure starts a machine and puts the environment on it: ten minutes or more.",
                    at=details.started or log.at(details),
                )
                begun = True
                for event in log.known(details):
                    yield event
            taken = taken or (details.idle and log.position > 0)
            try:
                # What stands there while another machine is waited for is the old log.
                content = await self._read(details.log, log.position) if details.log and not taken else b""
                if content is None or (taken and details.log and not details.idle):
                    log.begin()
                    taken = False
                    continue
            except (UnavailableError, AuthError):
                # The next look gives an address that opens the log again, if this one has expired.
                failed += 1
                if failed == SILENCE:
                    raise
                await waiting.pause(min(LONGEST_S, POLL_S[True] * failed))
                continue
            failed = 0
            for event in log.events(content, details):
                yield event
            if details.finished:
                for event in log.rest(details):
                    yield event
                yield _final(details, log)
                return
            await waiting.pause(POLL_S[details.log is not None])

    async def _details(self, job: str) -> Details:
        """How far a job is; a network that is gone for a while is waited for."""
        for look in range(SILENCE):
            try:
                return await self._look(job)
            except UnavailableError:
                if look == SILENCE - 1:
                    raise
                await waiting.pause(min(LONGEST_S, POLL_S[True] * (look + 1)))
        raise AssertionError("unreachable")

    async def _look(self, job: str) -> Details:
        from phichat.backends.azureml.history import History

        base = await self._workspace.history()
        if self._history is None:
            self._history = await asyncio.to_thread(History, self._workspace.account.sign_in)
        history = self._history
        return await self._workspace.run(f"look at the job {job}", lambda: history.details(base, job))

    async def _read(self, address: str, position: int) -> bytes | None:
        """What is new in a log; None if it began anew."""
        history = self._history
        assert history is not None, "whoever has an address has asked for it"
        return await self._workspace.run("read the job's log", lambda: history.read(address, position))


class _Log:
    """A log as it grows: its whole lines as events, but for the job's own word of how it ended."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self.position = 0
        self.said: Status | None = None
        self.last = ""
        self._line = b""
        self._at: float | None = None

    def known(self, details: Details) -> Iterator[Event]:
        """What was told here before."""
        for line in self._telling.known():
            yield from self._event(line, details)

    def begin(self) -> None:
        """Another machine writes the log from its beginning."""
        self.position, self._line, self.said = 0, b"", None
        self._telling.begin()

    def events(self, content: bytes, details: Details) -> Iterator[Event]:
        """The events of what is new."""
        self.position += len(content)
        *lines, self._line = (self._line + content).split(b"\n")
        for line in lines:
            yield from self._heard(line, details)

    def rest(self, details: Details) -> Iterator[Event]:
        """A last line without its end."""
        line, self._line = self._line, b""
        if line:
            yield from self._heard(line, details)

    def at(self, details: Details) -> float:
        """When the last thing happened that says when."""
        return self._at or details.started or details.created or 0.0

    def _heard(self, line: bytes, details: Details) -> Iterator[Event]:
        for told in self._telling.hear(seen(line.decode("utf-8", errors="replace"))):
            yield from self._event(told, details)

    def _event(self, text: str, details: Details) -> Iterator[Event]:
        event = parse(text)
        if isinstance(event, Status) and event.detail == TAKEN:
            # Since the last word of the machine before nothing has run, and nothing has cost anything.
            event = event.model_copy(update={"at": self.at(details)})
        if isinstance(event, Log) and not text.startswith('{"kind"'):
            # Azure does not say when a line was written.
            event = event.model_copy(update={"at": self.at(details)})
        self._at = event.at
        if isinstance(event, Status) and event.finished:
            self.said = event  # the service ends the stream, not the job's word
            return
        if isinstance(event, Log) and text.strip():
            self.last = text.strip()
        yield event


def _placed(event: Event, folder: str) -> Event:
    """The event with paths of the job's machine as they are called in the storage."""
    for field in ("uri", "detail", "what"):
        said = getattr(event, field, "")
        if OUTPUT in said:
            return event.model_copy(update={field: _ON_THE_NODE.sub(folder, said)})
    return event


def _queued(attempt: Attempt, details: Details) -> Status:
    at = details.created or 0.0
    if attempt.number > 1:
        return Status(state="preparing", detail=f"Started again (attempt {attempt.number}).", at=at)
    return Status(state="queued", detail="Waiting for a machine.", at=at)


def _final(details: Details, log: _Log) -> Status:
    """How the job ended, in its own words where it found any, else in plain ones."""
    at = details.ended or log.at(details)
    if details.state == "completed":
        detail = log.said.detail if log.said and log.said.state == "succeeded" else ""
        return Status(state="succeeded", detail=detail, at=at)
    if details.state != "failed":
        return Status(state="cancelled", at=at)
    if log.said and log.said.state == "failed" and log.said.detail:
        return Status(state="failed", detail=log.said.detail, at=at)
    return Status(state="failed", detail=_reason(details, log.last), at=at)


def _reason(details: Details, last: str) -> str:
    told = clean(f"{details.error.get('code', '')} {details.error.get('message', '')}".strip())
    known = diagnose(f"{told} {last}")
    if known is not None:
        return f"{known.message} {known.hint}".strip()
    words = f" Its last words: {clean(last)}" if last else ""
    return f"{told or 'Azure does not say why.'}{words}"
