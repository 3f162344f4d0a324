"""The states of the screen Data, each reached the way a person reaches it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from phichat import models
from phichat.data import Prepared
from phichat.events import Event, Progress, Step
from phichat.models.cache import model_folder
from phichat.screens.data.form import DataForm
from phichat.screens.data.screen import DataScreen
from phichat.screens.data.view import DataView
from phichat.workflow import Project
from tests.data.conftest import chat, tower, write
from tests.screens.driving import picture, until
from tests.screens.scripted import Script

Report = Callable[[Event], None]


def screen(pilot: Pilot[None]) -> DataScreen:
    """The screen Data of a running application."""
    found = pilot.app.screen
    assert isinstance(found, DataScreen)
    return found


def view(pilot: Pilot[None]) -> DataView:
    """What shows the prepared rows."""
    return screen(pilot).query_one(DataView)


async def visit(pilot: Pilot[None]) -> None:
    """Go to the screen, and let it find out what there is."""
    await pilot.press("alt+2")
    await until(pilot, lambda: bool(pilot.app.screen.query("DataStart, DataView")))


def project_of(pilot: Pilot[None]) -> Project:
    """The project that is open."""
    project = screen(pilot).session.project
    assert project is not None
    return project


def have_tokenizer(project: Project) -> None:
    """Give the model that is said to be there a tokenizer of words."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[unk]": 0}, unk_token="[unk]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken(f"<|im_{end}|>", special=True) for end in ("start", "end")])
    tokenizer.save(
        str(model_folder(models.resolve(models.DEFAULT).key, project.folders.cache) / "tokenizer.json")
    )


async def fill(pilot: Pilot[None], path: str) -> None:
    """Open the form and name a source."""
    await pilot.press("e")
    await until(pilot, lambda: bool(screen(pilot).query(DataForm)))
    screen(pilot).query_one(DataForm).fill("source", path)
    await pilot.pause()


async def opened(pilot: Pilot[None]) -> None:
    """Wait until rows are to be seen."""
    await until(pilot, lambda: bool(screen(pilot).query(DataView)) and bool(view(pilot).query("#rows")))
    await until(pilot, lambda: "row" in str(view(pilot).query_one("#showing").render()))
    await until(pilot, lambda: "row " in str(view(pilot).query_one("#one").render()))


async def data_empty(pilot: Pilot[None], script: Script) -> None:
    script.loaded.set()
    await visit(pilot)


async def data_form(pilot: Pilot[None], script: Script) -> None:
    await data_empty(pilot, script)
    await fill(pilot, "conversations.jsonl")


async def data_preparing(pilot: Pilot[None], script: Script) -> None:
    await data_form(pilot, script)
    hold = asyncio.Event()

    async def slow(project: Any, wanted: Any, report: Report) -> Prepared:
        report(Step(name="read", state="done", detail="200,000 rows"))
        report(Step(name="near duplicates", state="running"))
        report(Progress(what="Comparing", done=84_000, total=200_000, unit="rows"))
        await hold.wait()
        raise AssertionError

    screen(pilot).preparing = slow
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "Comparing 84,000 of 200,000 rows" in picture(pilot))


ROWS: list[Any] = [
    *map(tower, range(40)),
    tower(3),
    chat("Whom do I ask?", "Ask ann@corp.io.", "And by telephone?", "Nobody is there."),
    *({**tower(n), "messages": tower(n)["messages"] * 9} for n in range(50, 54)),
]
BAD: list[Any] = [
    *ROWS[:20],
    chat("What is empty?", ""),
    {"question": "Which format?"},
    chat("Nobody answers."),
]


async def data_prepared(pilot: Pilot[None], script: Script, rows: list[Any] = ROWS, length: int = 0) -> None:
    await data_empty(pilot, script)
    project = project_of(pilot)
    assert project.root is not None
    have_tokenizer(project)
    with contextlib.chdir(project.root):
        await fill(pilot, write(Path("rows.jsonl"), rows).name)
        if length:
            screen(pilot).query_one(DataForm).fill("max_length", str(length))
        await pilot.press("ctrl+s")
        await opened(pilot)


async def data_row(pilot: Pilot[None], script: Script) -> None:
    await data_prepared(pilot, script)
    await pilot.press("end", "up", "up", "up", "up", "enter")
    await until(pilot, lambda: "ann@corp.io" in str(view(pilot).query_one("#one").render()))


async def data_report(pilot: Pilot[None], script: Script) -> None:
    await data_prepared(pilot, script, length=120)
    await pilot.press("r")


async def data_refused(pilot: Pilot[None], script: Script) -> None:
    await data_prepared(pilot, script, BAD)
    await until(pilot, lambda: view(pilot).part == "problems")


async def data_failed(pilot: Pilot[None], script: Script) -> None:
    await data_empty(pilot, script)
    await fill(pilot, "nowhere.jsonl")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "There is no file or folder" in picture(pilot))


DATA_STATES: dict[str, Callable[[Pilot[None], Script], Awaitable[None]]] = {
    "data-empty": data_empty,
    "data-form": data_form,
    "data-preparing": data_preparing,
    "data-prepared": data_prepared,
    "data-row": data_row,
    "data-report": data_report,
    "data-refused": data_refused,
    "data-failed": data_failed,
}
