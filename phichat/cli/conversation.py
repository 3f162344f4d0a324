"""A conversation, line by line, for terminals and for people who want no screen."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from phichat.cli.answers import MODEL, YOU, attached, opened, ready, show, tell_tuned
from phichat.cli.guard import tell
from phichat.cli.terminal import narrate, out
from phichat.errors import PhichatError
from phichat.workflow.templates import Templates

if TYPE_CHECKING:
    from phichat.backends.base import Deployment
    from phichat.history import ConversationLog, Hit
    from phichat.workflow import Project

BYE = ("/bye", "/exit", "/quit")
ATTACH = "/attach "
HELP = ("/help", "/?", ATTACH.strip())
TELL = (
    "Ctrl-C stops an answer; /bye or Ctrl-D ends the conversation.\n"
    "/attach WORDS shows the model what was said about them before."
)


def hold(args: argparse.Namespace) -> int:
    """Talk until `/bye`, Ctrl-D, or Ctrl-C where no answer is under way.

    Raises:
        PhichatError: nothing is there that could answer.
    """
    from phichat.cli.options import open_project

    project = open_project(args)
    # One event loop for all answers, none while the person types: the terminal's own line editing works.
    with asyncio.Runner() as runner:
        try:
            deployment = runner.run(ready(project, args.deployment, plain=args.plain, yes=args.yes))
            if deployment is None:
                return 1
            runner.run(tell_tuned(project, args))
            log = runner.run(opened(project, args.resume))
            narrate(TELL)
            return _talk(runner, _Talk(project, deployment, log, args))
        finally:
            runner.run(project.aclose())


class _Talk:
    """The turns so far, kept as they come."""

    def __init__(
        self, project: Project, deployment: Deployment, log: ConversationLog, args: argparse.Namespace
    ) -> None:
        self._project = project
        self._deployment = deployment
        self._log = log
        self._as_json = args.json
        self._plain = args.plain
        self.prompt = YOU if args.plain else "> "
        self._attached: list[Hit] = []
        self._templates = Templates(project)
        self._doubt = ""
        """What the person was told of the answers of this deployment."""

    async def attach(self, *words: str) -> None:
        """Show the model with the next question what was said about this in other conversations."""
        try:
            self._attached += await attached(self._project, self._log, words)
        except PhichatError as error:
            tell(error)

    async def ask(self, question: str) -> None:
        """Ask, and show the answer. One that is stopped counts as far as it came."""
        try:
            asked = await self._project.conversations.ask(
                self._log, question, self._attached, self._deployment
            )
            self._attached = []
        except PhichatError as error:
            tell(error)
            return
        answer = self._project.conversations.answer(self._log, deployment=self._deployment)
        if self._plain and not self._as_json:
            out(MODEL, end="")
        try:
            reply = await show(answer, self._as_json, plain=self._plain)
            if reply:
                self._tell(await self._templates.doubt(self._deployment, reply.template_sha256))
        except asyncio.CancelledError:
            # Ctrl-C. A second one, before we are here, ends the program instead.
            narrate("\n(stopped)")
        except PhichatError as error:
            tell(error)
            if not self._log.branch[-1].content or self._log.branch[-1].id == asked.id:
                # Unanswered: it stays in the history, but the model is not shown it again.
                self._log.retry(asked.id)

    def _tell(self, doubt: str) -> None:
        """Say once why the answers may be worse than their model."""
        if doubt and doubt != self._doubt:
            narrate(doubt)
        self._doubt = doubt


def _talk(runner: asyncio.Runner, talk: _Talk) -> int:
    with contextlib.suppress(ImportError):  # Windows edits lines by itself
        import readline  # noqa: F401
    while True:
        try:
            line = _read_line(talk.prompt).strip()
        except EOFError:
            narrate("")
            return 0
        if line in BYE:
            return 0
        if line in HELP:
            narrate(TELL)
        elif line.startswith(ATTACH):
            runner.run(talk.attach(line.removeprefix(ATTACH)))
        elif line:
            runner.run(talk.ask(line))


def _read_line(prompt: str) -> str:
    """A line of the person's; the prompt never gets among the data."""
    if sys.stdout.isatty():
        return input(prompt)
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()
