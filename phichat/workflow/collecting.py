"""From chat back to data: an answer that is as it should be becomes a row that training can take."""

from __future__ import annotations

from pathlib import Path

from phichat.errors import DataError
from phichat.history import Transcript
from phichat.history.formats import openai
from phichat.paths import append_line, lines_of

COLLECTED = "from-chat.jsonl"
"""The file in the project's state folder; `phichat data` takes it."""


def collect(transcript: Transcript, answer_id: str, path: Path) -> int:
    """Add the conversation up to an answer to a file, as OpenAI's messages; returns how many rows it has.

    The same again adds nothing. Answers before it that are not whole are left out with their questions.

    Raises:
        DataError: the answer is not whole, or the file cannot be written.
    """
    answer = transcript.message(answer_id)
    if answer.state != "complete" or not answer.content.strip():
        raise DataError("A part of an answer would teach the model to break off.", "Edit it first, with E.")
    shown = transcript.conversation.model_copy(update={"leaf": answer_id})
    row = openai(Transcript(shown, transcript.messages)).rstrip("\n")
    try:
        known = lines_of(path)
        if row in known:
            return len(known)
        append_line(path, row)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
    return len(known) + 1
