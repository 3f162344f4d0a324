"""The report of a batch: one HTML file for any browser, without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pydantic import Field

from phichat.backends.base import Value

NAMES = {"exact_match": "Exact match", "f1": "F1", "similarity": "Similarity"}
"""The flow's own metrics, for people; all of them are between 0 and 1."""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem; }}
th, td {{ border-bottom: 1px solid var(--line); }}
td {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.failed {{ color: #d0453b; }}
small {{ opacity: .75; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


class Answered(Value):
    """What became of one line of the file."""

    line: int
    question: str
    reference: str | None = None
    answer: str | None = None
    error: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)


def render(title: str, about: str, lines: Sequence[Answered], metrics: Mapping[str, float]) -> str:
    """The page: the metrics, if there are any, then every line."""
    failed = sum(1 for line in lines if line.error)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p><small>{escape(about)}</small></p>",
        f"<p>{len(lines) - failed} done, {failed} failed.</p>",
        _table(("", "mean"), [(escape(name_of(name)), f"{value:.3f}") for name, value in metrics.items()]),
        _lines(lines),
    ]
    return PAGE.format(title=escape(title), body="\n".join(part for part in parts if part))


def name_of(metric: str) -> str:
    """A metric's name for people."""
    return NAMES.get(metric, metric)


def _lines(lines: Sequence[Answered]) -> str:
    wanted = any(line.reference is not None for line in lines)
    names = list(next((line.metrics for line in lines if line.metrics), {}))
    head = ["line", "question", *(["wanted"] if wanted else []), "answer", *map(name_of, names)]
    return _table(head, (_cells(line, wanted, names) for line in lines))


def _cells(line: Answered, wanted: bool, names: Sequence[str]) -> list[str]:
    said = f'<span class="failed">{escape(line.error)}</span>' if line.error else escape(line.answer or "")
    numbers = [f"{line.metrics[name]:.2f}" if name in line.metrics else "" for name in names]
    reference = [escape(line.reference or "")] if wanted else []
    return [str(line.line), escape(line.question), *reference, said, *map(escape, numbers)]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f"<table><tr>{titles}</tr>{body}</table>" if body else ""
