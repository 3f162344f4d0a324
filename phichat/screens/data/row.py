"""One row as the model will see it: every special token visible, and what is trained marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from textual.content import Content

from phichat.data.options import ModelFiles
from phichat.data.problems import Problem
from phichat.data.rows import Row
from phichat.data.template import ChatTemplate, Span, load_template
from phichat.errors import DataError
from phichat.models.templates import special_tokens

SHOWN = 20_000
"""Characters of one row that are shown."""
TRAINED, NOT_TRAINED = "▌ ", "  "


class Lens:
    """Renders rows by the template of one model; opened once, in a thread."""

    def __init__(self, model: ModelFiles) -> None:
        self.problem = ""
        """Why rows are shown without the template."""
        self._template: ChatTemplate | None = None
        self._special: frozenset[str] = frozenset()
        if model.folder is None:
            self.problem = f"without the template: phichat models pull {model.name}"
            return
        try:
            self._template = load_template(model.folder, model.training_template)
        except DataError as error:
            self.problem = error.message
        self._special = special_tokens(model.folder)

    def show(self, row: Row, problems: Iterable[Problem]) -> Content:
        """The row with a line about it, what is wrong with it, and its text."""
        where = f"row {row.number + 1:,} · {row.file}, {row.line:,} · {row.side}"
        head = [Content.assemble((" · ".join([where, *row.noted]), "bold"))]
        head += [Content.assemble(("✗ ", "$text-error"), str(problem)) for problem in problems]
        return Content("\n").join([*head, Content(), *self._body(row)])

    def _body(self, row: Row) -> Iterable[Content]:
        if not row.turns:
            yield Content(_short(row.raw))
            return
        try:
            spans = self._template.spans(row.turns) if self._template else None
        except DataError as error:
            yield Content.assemble(("✗ ", "$text-error"), error.message)
            spans = None
        if spans is None:
            yield Content(self.problem)
            for turn in row.turns:
                yield Content.assemble((turn.role, "bold"), "\n", _short(turn.content))
            return
        yield Content.assemble(
            (f"{TRAINED}trained", "$text-success"), "   ", ("special token", "$text-warning bold")
        )
        yield from self._lines(spans)

    def _lines(self, spans: Sequence[Span]) -> Iterable[Content]:
        """The rendered text line by line, each with a mark where something of it is trained."""
        pattern = re.compile("|".join(map(re.escape, sorted(self._special, key=len, reverse=True))) or "$^")
        left, pieces, marked = SHOWN, [Content()], False
        for span in spans:
            for number, text in enumerate(span.text[:left].split("\n")):
                if number:
                    yield _line(pieces, marked)
                    pieces, marked = [], False
                marked = marked or (span.trained and bool(text))
                pieces.append(_styled(text, span.trained, pattern))
            left -= len(span.text)
            if left < 0:
                pieces.append(Content(f" … and {-left:,} more characters"))
                break
        yield _line(pieces, marked)


def _line(pieces: Sequence[Content], marked: bool) -> Content:
    mark = (TRAINED, "$text-success") if marked else (NOT_TRAINED, "")
    return Content.assemble(mark, *pieces)


def _styled(text: str, trained: bool, special: re.Pattern[str]) -> Content:
    content, at = Content(), 0
    style = "$text-success" if trained else ""
    for match in special.finditer(text):
        content += Content.assemble((text[at : match.start()], style), (match.group(), "$text-warning bold"))
        at = match.end()
    return content + Content.assemble((text[at:], style))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} … and {len(text) - SHOWN:,} more characters"
