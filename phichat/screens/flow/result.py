"""How it is with the flow, in words: its server, its engine, and its evaluation beside `phichat eval`'s."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from phichat.flowrunner import EngineName
from phichat.flowrunner.promptflow import RETIRED
from phichat.screens.choice import Choice
from phichat.screens.flow.work import Flowing
from phichat.screens.panels import Panel
from phichat.workflow.beside import HEAD, Beside, table

TITLES: dict[EngineName, str] = {"promptflow": "Prompt flow", "plain": "plain, without Prompt flow"}
SHOWN = 3
"""Failed rows that are told; the report has all of them."""


class SetupOffer(Panel):
    """Prompt flow is not there: what it takes, how long it will be of use, and what does without it."""

    def compose(self) -> ComposeResult:
        yield Static("Prompt flow is not set up on this machine.", classes="what")
        told = f"It takes 400 MB, once. Microsoft retires it on {RETIRED}; the plain engine serves the same."
        yield Static(told, classes="hint")
        yield Horizontal(
            Choice("flow.setup"), Choice("flow.engine", "Use the plain engine"), classes="choices"
        )


def state(found: Flowing, engine: EngineName, *, through: bool) -> Content:
    """The server, the engine, and with whom the chats are."""
    server = found.server
    if server:
        where = f" {server.url}, over {server.deployment}"
        runs = Content.assemble(("●", "$text-success"), where)
    else:
        runs = Content.assemble(("○", "$text-secondary"), " does not run")
    with_whom = "with the flow server" if through else "with the deployment"
    lines = [("Server", runs), ("Engine", Content(TITLES[server.engine if server else engine]))]
    lines.append(("Chats", Content(with_whom)))
    return Content("\n").join(
        Content.assemble((f"{label:<8}", "$text-secondary"), told) for label, told in lines
    )


def result(found: Beside | None) -> Content:
    """The table of both evaluations, from which rows each is, and where the report lies."""
    if found is None:
        return Content("")
    flow = found.flow
    failed = flow.failed
    told = f"  {len(flow.lines) - len(failed)} rows answered, {len(failed)} failed"
    head = HEAD if found.compared else (HEAD[0], HEAD[-1])
    cells = [head, *table(found)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
    parts = [
        Content.assemble((f"Evaluation of {found.deployment} through the flow", "bold"), told),
        Content.styled(lines[0], "$text-secondary"),
        *map(Content, lines[1:]),
    ]
    if found.compared:
        about = f"Base and tuned are by phichat eval of {found.run}."
        if "f1" in found.compared.tuned:
            about += " Its exact match and F1 are of short answers only."
        parts.append(Content.styled(about, "$text-secondary"))
    parts += [Content(f"line {each.line}: {' '.join(each.error.split())}") for each in failed[:SHOWN]]
    if len(failed) > SHOWN:
        parts.append(Content(f"… and {len(failed) - SHOWN} more"))
    return Content("\n").join(parts)
