"""What long operations say while they run: one JSON object a line, told apart by `kind`."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

State = Literal["queued", "preparing", "running", "succeeded", "failed", "cancelled"]
FINISHED: frozenset[State] = frozenset({"succeeded", "failed", "cancelled"})


class BaseEvent(BaseModel):
    """What every event carries: when it happened and, in a stream, its place in it."""

    # Not-a-number must survive JSON: a diverged loss is exactly what a person has to see.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

    at: float = Field(default_factory=time.time)
    """Seconds since the epoch."""
    seq: int | None = None
    """Position in the stream it came from, counted from 0; None outside a stream."""


class Status(BaseEvent):
    """The state of a whole job; a finished one ends the stream."""

    kind: Literal["status"] = "status"
    state: State
    detail: str = ""

    @property
    def finished(self) -> bool:
        """Whether no event can follow this one."""
        return self.state in FINISHED


class Step(BaseEvent):
    """One named step of an operation that has several."""

    kind: Literal["step"] = "step"
    name: str
    state: Literal["planned", "running", "done", "reused", "failed"]
    detail: str = ""


class Progress(BaseEvent):
    """How much of a countable thing is done; `total` is None while nobody knows."""

    kind: Literal["progress"] = "progress"
    what: str
    done: float
    total: float | None = None
    unit: str = ""
    """The field's word in the plural; `bytes` are shown as kB, MB or GB."""


class Metric(BaseEvent):
    """Numbers measured at a training step; `total` is the number of steps."""

    kind: Literal["metric"] = "metric"
    step: int
    total: int | None = None
    values: dict[str, float]


class Sample(BaseEvent):
    """What the model answered to a probe at a training step."""

    kind: Literal["sample"] = "sample"
    step: int
    prompt: str
    text: str


class Artifact(BaseEvent):
    """Something that was made and where it is: a path or a URL."""

    kind: Literal["artifact"] = "artifact"
    name: str
    uri: str


class Log(BaseEvent):
    """A line that is not an event."""

    kind: Literal["log"] = "log"
    line: str


class Piece(BaseEvent):
    """A piece of an answer, as it is generated."""

    kind: Literal["piece"] = "piece"
    text: str


class Reply(BaseEvent):
    """A whole answer and what it cost."""

    kind: Literal["reply"] = "reply"
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    dropped_messages: int = 0
    """How many of the oldest messages did not fit the context and were not shown to the model."""
    context: int | None = None
    """Tokens that the model can see at once, where the backend knows."""
    template_sha256: str = ""
    """Names the chat template in which the model was shown the conversation, where the backend knows."""
    ttft_s: float
    """Seconds from the question to the first piece of the answer."""
    tokens_per_s: float
    """Completion tokens a second after the first piece."""


Event = Annotated[
    Status | Step | Progress | Metric | Sample | Artifact | Log | Piece | Reply,
    Field(discriminator="kind"),
]

_event: TypeAdapter[Event] = TypeAdapter(Event)


def parse(line: str) -> Event:
    """The event that a line of output holds; a `Log` of the line if it holds none."""
    text = line.rstrip("\r\n")
    if text.startswith("{"):
        try:
            return _event.validate_json(text)
        except ValidationError:
            pass
    return Log(line=text)


def dump(event: BaseEvent) -> str:
    """The event as one line of JSON, without a line end."""
    return event.model_dump_json(exclude_none=True)


def unheard(event: object) -> None:
    """A report for what nobody waits to hear."""
