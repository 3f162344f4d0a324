"""The branch of a stored conversation that is shown, as turns, and the versions beside each message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.events import Reply
from phichat.screens.chat.conversation import Turn, TurnState, Versions

if TYPE_CHECKING:
    from phichat.backends.base import ChatOptions
    from phichat.history import ConversationLog, Snippet, StoredMessage, Transcript

STATES: dict[str, TurnState] = {
    "complete": "done",
    "partial": "partial",
    "stopped": "stopped",
    "failed": "failed",
}


def turns_of(transcript: Transcript) -> list[Turn]:
    """The turns of the branch that is shown."""
    turns: list[Turn] = []
    for message in transcript.branch():
        if message.role == "user":
            turn = Turn(message.content, state="stopped", kept=message.id)
            turn.questions = versions(transcript, message.id)
            turn.notes = notes_of(transcript, message.id)
            turns.append(turn)
        elif message.role == "assistant":
            if not turns or turns[-1].answer_id:  # imported from where an answer needs no question
                turns.append(Turn(""))
            _answer(turns[-1], message, versions(transcript, message.id))
    return turns


def versions(transcript: Transcript, message_id: str) -> Versions:
    """The versions of a message that are worth showing, itself among them."""
    ids = tuple(
        each.id
        for each in transcript.versions(message_id)
        if each.id == message_id or _worth_showing(transcript, each)
    )
    return Versions(ids, ids.index(message_id))


def notes_of(transcript: Transcript, question_id: str) -> tuple[str, ...]:
    """What the model read with a question, in the order in which it did."""
    from phichat.history.prompting import is_note

    found: list[str] = []
    before = transcript.message(question_id).parent_id
    while before and is_note(message := transcript.message(before)):
        found.insert(0, message.content)
        before = message.parent_id
    return tuple(found)


def where_said(turns: list[Turn], transcript: Transcript, message_id: str) -> Turn | None:
    """The turn that shows a message: as its question, its answer, or what the model read with it."""
    from phichat.history.prompting import is_note

    for turn in turns:
        if message_id in (turn.kept, turn.answer_id):
            return turn
        before = transcript.message(turn.kept).parent_id if turn.kept else None
        while before and is_note(message := transcript.message(before)):
            if message.id == message_id:
                return turn
            before = message.parent_id
    return None


def share_of(text: str, snippet: Snippet | None) -> float:
    """How far into a text what was searched for is, from 0 to 1."""
    if snippet is None or not snippet.marks:
        return 0.0
    start, end = snippet.marks[0]
    at = text.find(snippet.text[start:end])
    return max(0, at) / max(1, len(text))


def source_of(message: StoredMessage) -> str:
    """Where an answer came from, for people; empty where nobody noted it."""
    if not message.backend:
        return ""
    # A deployment on an endpoint has a name of two parts, of which the second is its own.
    name = message.deployment.rpartition("/")[2]
    where = f"{message.model or name} on {message.backend}"
    told = where if message.model in ("", name) else f"{where}, deployment {name}"
    warmth = message.options.temperature if message.options else 0
    return f"{told}, at temperature {warmth:g}" if warmth else told


def options_of(transcript: Transcript) -> ChatOptions | None:
    """How the last answer that is shown was asked for; None where nobody knows."""
    from phichat.workflow.otherwise import wanted

    for message in reversed(transcript.branch()):
        if message.options:
            return wanted(transcript, message)
    return None


def put_back(log: ConversationLog) -> str:
    """Step back from a question at the end that nobody answered; returns it, to be asked again.

    Where another version was answered, that is shown.
    """
    while log.branch and not (log.branch[-1].role == "assistant" and log.branch[-1].content):
        end = log.branch[-1]
        answered = [each for each in log.transcript.versions(end.id) if _worth_showing(log.transcript, each)]
        if answered:
            log.back_to(log.transcript.leaf_through(answered[-1].id))
        else:
            log.retry(end.id)
        if answered or end.role == "user":
            return end.content
    return ""


def _worth_showing(transcript: Transcript, message: StoredMessage) -> bool:
    """Whether it says something, or something was said to it."""
    if message.role == "assistant":
        return bool(message.content)
    return any(answer.content for answer in transcript.after(message.id))


def _answer(turn: Turn, message: StoredMessage, beside: Versions) -> None:
    turn.answer = message.content
    turn.answer_id = message.id
    turn.answers = beside
    turn.source = source_of(message)
    turn.state = STATES[message.state]
    if usage := message.usage:
        turn.reply = Reply(
            **usage.model_dump(),
            text=message.content,
            ttft_s=message.ttft_s or 0.0,
            tokens_per_s=message.tokens_per_s or 0.0,
        )
