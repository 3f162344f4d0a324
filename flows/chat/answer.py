"""Prompt flow's tool: one line over plain Python."""

from collections.abc import Iterator

from promptflow.core import tool

import deployment


@tool
def answer(question: str, chat_history: list) -> Iterator[str]:  # type: ignore[type-arg]
    """The answer as it comes; a deployment that cannot answer is an error before the first piece."""
    return deployment.answer(question, chat_history)
