"""The report of an evaluation: one HTML file with its pictures, for any browser and without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import charts

NAMES = {
    "perplexity": "Perplexity",
    "loss": "Loss of a token",
    "token_accuracy": "Tokens that are the first choice",
    "exact_match": "Exact match of short answers",
    "f1": "F1 of short answers",
    "probes_right": "Probes answered right",
    "general_right": "General questions answered right",
}
SHARES = ("token_accuracy", "exact_match", "f1", "probes_right", "general_right")
FORGOTTEN = 0.1
"""Share of the general questions: of twelve, one may be lost by chance."""

VOTES = "<!-- votes --><!-- /votes -->"
"""Room for what people vote later on; whoever keeps the votes writes them here."""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Did it help?</title>
<style>
:root {{ color-scheme: light dark; --base: #8a8f98; --tuned: #2f7ed8; --line: #8884; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem; }}
th, td {{ border-bottom: 1px solid var(--line); }}
td {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
svg {{ display: block; width: 100%; max-width: 46rem; height: auto; font-size: 12px; fill: currentColor; }}
svg .grid {{ stroke: var(--line); }}
svg polyline {{ fill: none; stroke-width: 2; }}
svg .s0 {{ fill: var(--base); stroke: var(--base); }}
svg .s1 {{ fill: var(--tuned); stroke: var(--tuned); }}
.right::after {{ content: " ✓"; color: #2a9d4a; }}
.wrong::after {{ content: " ✗"; color: #d0453b; }}
small {{ opacity: .75; }}
.answer {{ font-size: 1.2rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def render(result: Mapping[str, Any], training: Sequence[Mapping[str, Any]]) -> str:
    """The page; `training` are the metrics of the run, if they are known."""
    models = [name for name in ("base", "tuned") if name in result]
    parts = [
        "<h1>Did it help?</h1>",
        _answer(result),
        f"<p><small>{escape(result['model'])}, on {result['data']['rows']} held-out conversations"
        f" of {escape(result['data']['file'])}</small></p>",
        _numbers(result, models),
        _shares(result, models),
        VOTES,
        _curves(training),
        _questions("Probes", result["probes"], models),
        _forgotten(result),
        _questions("General questions", result["general"], models),
        _answers(result["answers"], models),
    ]
    return PAGE.format(body="\n".join(part for part in parts if part))


def _answer(result: Mapping[str, Any]) -> str:
    """The most telling number, in words."""
    if "base" not in result:
        return ""
    before, after = result["base"]["perplexity"], result["tuned"]["perplexity"]
    much = "less" if after < before else "more"
    told = f"Conversations that it has not seen surprise the tuned model {much} than the base model"
    return f'<p class="answer">{told}: perplexity {before:.2f} → {after:.2f}.{_cost(result)}</p>'


def _cost(result: Mapping[str, Any]) -> str:
    """What a model that has learned forgot meanwhile, in the words of the application's verdict."""
    base, tuned = result["base"], result["tuned"]
    before, after = (model.get("general_right", 0) for model in (base, tuned))
    if after >= before or tuned["perplexity"] >= base["perplexity"]:
        return ""
    much = "" if before - after > FORGOTTEN else " a little"
    return f" But it forgot{much}: general questions {before:.0%} → {after:.0%}."


def _numbers(result: Mapping[str, Any], models: Sequence[str]) -> str:
    rows = [
        (label, *(_number(name, result[model].get(name)) for model in models))
        for name, label in NAMES.items()
        if any(name in result[model] for model in models)
    ]
    return _table(("", *models), (map(escape, row) for row in rows))


def _shares(result: Mapping[str, Any], models: Sequence[str]) -> str:
    rows = []
    for name in SHARES:
        values = {model: result[model][name] for model in models if name in result[model]}
        if values:
            rows.append((NAMES[name], values))
    return charts.bars(rows)


def _curves(training: Sequence[Mapping[str, Any]]) -> str:
    series = {
        label: [
            (float(line["step"]), float(line["values"][name])) for line in training if name in line["values"]
        ]
        for label, name in (("training loss", "loss"), ("eval loss", "eval_loss"))
    }
    drawn = charts.lines(series, "step")
    return f"<h2>Training</h2>{drawn}" if drawn else ""


def _forgotten(result: Mapping[str, Any]) -> str:
    lost = [
        row["prompt"] for row in result["general"] if row.get("base_right") and not row.get("tuned_right")
    ]
    if "base" not in result or not result["general"]:
        return ""
    if not lost:
        return "<p>Nothing that the base model knew of the general questions was forgotten.</p>"
    return f"<p>Forgotten: {escape(' · '.join(lost))}</p>"


def _questions(title: str, rows: Iterable[Mapping[str, Any]], models: Sequence[str]) -> str:
    lines = [(escape(row["prompt"]), *(_judged(row, model) for model in models)) for row in rows]
    return f"<h2>{title}</h2>{_table(('question', *models), lines)}" if lines else ""


def _answers(rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> str:
    changed = [row for row in rows if row["changed"] or len(models) == 1]
    lines = [tuple(escape(row[name]) for name in ("prompt", "reference", *models)) for row in changed]
    title = f"<h2>Answers that changed: {len(changed)} of {len(rows)}</h2>"
    return title + _table(("question", "wanted", *models), lines) if rows else ""


def _judged(row: Mapping[str, Any], model: str) -> str:
    text = escape(row[model])
    right = row.get(f"{model}_right")
    return text if right is None else f'<span class="{"right" if right else "wrong"}">{text}</span>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>"


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if name in SHARES else f"{value:.3f}"
