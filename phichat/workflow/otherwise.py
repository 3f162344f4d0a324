"""Another answer to a question that has one: asked for in such a way that it can be another.

As configured a question always has the same answer, at temperature 0 or from a seed: the one that was
measured. Who asks again wants to see what else the model could say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phichat.backends.base import ChatOptions, Deployment
    from phichat.history import StoredMessage, Transcript

LIVELY = 0.7
"""The temperature of another answer where one is asked for at 0."""


def another(
    options: ChatOptions, answers: Sequence[StoredMessage], deployment: Deployment, model: str
) -> ChatOptions:
    """How to ask for an answer beside those that a question has.

    The same as given, unless that gives what the same model said already; then at another temperature, or
    from the next seed. An answer that broke off by itself was not seen whole: it may come once more.
    """
    given = {
        _plain(answer.options)
        for answer in answers
        if answer.content and answer.options and answer.state in ("complete", "stopped")
        if (answer.deployment, answer.model) == (deployment.id, model)
    }
    while (options.temperature == 0 or options.seed is not None) and _plain(options) in given:
        options = _next(options)
    return options


def wanted(transcript: Transcript, answer: StoredMessage) -> ChatOptions | None:
    """How a person asked for an answer, who may have been given another one; None where nobody knows."""
    if answer.options is None:
        return None
    versions = transcript.versions(answer.id)
    for version in versions:
        tried = version.options
        for _ in versions:
            if tried and version.options and _plain(tried) == _plain(answer.options):
                return _plain(version.options)
            tried = tried and _next(tried)
    return _plain(answer.options)


def _next(options: ChatOptions) -> ChatOptions:
    if options.temperature == 0:
        return options.model_copy(update={"temperature": LIVELY})
    return options.model_copy(update={"seed": None if options.seed is None else options.seed + 1})


def _plain(options: ChatOptions) -> ChatOptions:
    """Without what says of an answer only that it goes on from a part of it."""
    return options.model_copy(update={"continue_final": False})
