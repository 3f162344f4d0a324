"""Prompt flow's tool for one answer: one line over plain Python."""

from promptflow.core import tool

import metrics


@tool
def judge(answer: str, reference: str) -> dict[str, float]:
    """Exact match, F1 and similarity."""
    return metrics.judge(answer, reference)
