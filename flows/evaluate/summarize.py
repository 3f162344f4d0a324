"""Prompt flow's tool for all answers together: the means, as the metrics of the run."""

from promptflow.core import log_metric, tool

import metrics


@tool
def summarize(judged: list[dict[str, float]]) -> dict[str, float]:
    """The means; answers that could not be judged are not among them."""
    found = metrics.summary([each for each in judged if each])
    for name, value in found.items():
        log_metric(name, value)
    return found
