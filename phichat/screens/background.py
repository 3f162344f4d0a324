"""Work that a screen lets happen in the background; each piece says by a message how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.message import Message

from phichat.errors import PhichatError
from phichat.events import Event
from phichat.screens.session import Session, problem_of

if TYPE_CHECKING:
    from textual.screen import Screen

    from phichat.workflow import Project


class Happened(Message):
    """A step of what is being done."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class Done(Message):
    """What was to be done is done."""

    def __init__(self, told: str, *, then_chat: bool = False) -> None:
        super().__init__()
        self.told = told
        self.then_chat = then_chat


class Refused(Message):
    """Something that was wanted cannot be done; without a problem: it is not wanted any more."""

    def __init__(self, about: str, problem: PhichatError | None) -> None:
        super().__init__()
        self.about = about
        self.problem = problem


class Background:
    """Calls into the project, each in a worker of the screen; the newest of a kind ends the one before."""

    def __init__(self, session: Session, screen: Screen[Any]) -> None:
        self._session = session
        self._screen = screen

    @property
    def _project(self) -> Project:
        assert self._session.project is not None
        return self._session.project

    @property
    def place(self) -> str:
        """What the place where the work happens is called."""
        return self._project.backend.title

    def _do(self, about: str, work: Callable[..., Awaitable[None]], *given: Any, **named: Any) -> None:
        # The call comes with the worker: one that is cancelled before it begins leaves nothing behind.
        call: Callable[[], Any] = partial(self._guarded, about, work, *given, **named)
        self._screen.run_worker(call, group=about, exclusive=True, exit_on_error=False)

    async def _guarded(
        self, about: str, work: Callable[..., Awaitable[None]], *given: Any, **named: Any
    ) -> None:
        """Whatever goes wrong, say it: a bug in a plugin closes nothing."""
        try:
            await work(*given, **named)
        except asyncio.CancelledError:
            self._tell(Refused(about, None))
            raise
        except Exception as error:
            self._tell(Refused(about, problem_of(error, self._session.backend)))

    def _drop(self, *about: str) -> None:
        """Let go of what is being done about something. What runs elsewhere, runs on."""
        for group in about:
            self._screen.workers.cancel_group(self._screen, group)

    def _tell(self, message: Message) -> None:
        self._screen.post_message(message)

    def _report(self, event: Event) -> None:
        self._tell(Happened(event))
