"""A conversation as one text, for endpoints that render no chat template themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from phichat import models
from phichat.backends.base import Message
from phichat.errors import BackendError, ConfigError, DataError
from phichat.models.templates import Template, own_template, tokens_of
from phichat.paths import bundled, user_folders

SETTING = "backends.azureml.endpoint_template"


def template_named(configured: str, *about: str) -> str:
    """The model whose template to use: as configured, else whichever of the catalogue is named; or empty."""
    if configured:
        return configured
    told = " ".join(map(_letters, about))
    # The longest first: phi-4-mini is not phi-4.
    known = sorted(models.catalogue(), key=len, reverse=True)
    return next((alias for alias in known if _letters(alias) in told), "")


def rendered(name: str, messages: Sequence[Message], *, continues: bool) -> str:
    """The conversation as the model reads it, to where its answer begins, or goes on with `continues`.

    Raises:
        BackendError: there is no such template, or it refuses the conversation.
    """
    turns = [message.model_dump() for message in messages]
    try:
        template = _template(name)
        if continues:
            return template.render(turns[:-1], answer=True)[0] + messages[-1].content
        return template.render(turns, answer=True)[0]
    except (ConfigError, DataError) as error:
        raise BackendError(error.message, error.hint) from error


@cache
def _template(name: str) -> Template:
    ref = models.resolve(name)
    if ref.entry:
        source = bundled("trainer") / "templates" / ref.entry.training_template
        # Where the next answer begins it names no special token that it does not spell out itself.
        return Template(source.read_text(encoding="utf-8"), {})
    folder = ref.folder or models.cached(ref, user_folders().cache)
    if folder is None or not own_template(folder):
        raise ConfigError(
            f"The chat template of {name} is not on this machine.",
            f"Set {SETTING} to a model of the catalogue or to a model's folder.",
        )
    return Template(own_template(Path(folder)), tokens_of(Path(folder)))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
