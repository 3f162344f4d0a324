"""What the parent asks of the child that prepares data, and what it hears back, as files in one folder."""

from __future__ import annotations

from pydantic import BaseModel

from phichat.data.options import DataOptions

REQUEST_FILE = "request.json"
OUTCOME_FILE = "outcome.json"
ROWS_FOLDER = "rows"


class Request(BaseModel):
    """What to prepare."""

    source: str
    options: DataOptions


class Outcome(BaseModel):
    """How it ended; an error is raised again by the parent."""

    error: str = ""
    """The name of its class; empty: it went well."""
    message: str = ""
    hint: str = ""
