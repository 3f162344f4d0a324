"""The one interface between phichat and the places where models are trained, deployed and chatted with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from phichat.errors import UnsupportedError
from phichat.events import Event, Step

Report = Callable[[Event], None]
"""Where an operation says how it goes. It must not block and never raises."""


class Value(BaseModel):
    """A frozen value that is stored; read back tolerantly, so that versions can read each other."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Written(BaseModel):
    """A frozen value that people write: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Settings(Written):
    """A backend's settings; subclass it and describe every field.

    One described field is a row of the form, a key under `[backends.<name>]`, an environment variable,
    a flag and a line of the reference. A field of type `SecretStr` is refused in files and read from the
    keyring or the environment. Importing the class must not load an SDK.
    """


class Check(Value):
    """One thing that must be in place, and what to do when it is not."""

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""
    """The next thing to do, best a command; never empty when `ok` is false."""


class Dataset(Value):
    """Prepared chat JSONL: one `{"messages": [{"role", "content"}, …]}` a line."""

    train_file: Path
    eval_file: Path | None = None
    fingerprint: str = ""
    """Names the content: equal fingerprints are equal data."""
    train_rows: int | None = None
    eval_rows: int | None = None


class TrainSpec(Value):
    """What to train: the same name is the same job."""

    name: str
    dataset: Dataset
    base_model: str
    """Alias of the catalogue, hub id, or folder."""
    hyperparameters: dict[str, JsonValue] = Field(default_factory=dict)
    """The trainer's own fields; what is not named has the trainer's default."""
    resume_from: str | None = None
    """The id of the job whose last complete checkpoint to go on from."""
    max_usd: float | None = None
    """The most that it may cost: the place where it runs ends it then, whoever watches; None: no limit."""


class Job(Value):
    """A stored reference to a job; it stays valid in another process."""

    id: str
    url: str = ""
    """Where a person can look at it, or empty."""


class EvalSpec(Value):
    """What to evaluate, and on which data."""

    name: str
    model: Job | str
    dataset: Dataset
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """The evaluation's own fields; what is not named has its default."""
    max_usd: float | None = None
    """The most that it may cost, as of a training; None: no limit."""


class DeploySpec(Value):
    """What to make available for chat: the same name is the same deployment."""

    name: str
    model: Job | str
    """The job that trained it, or an alias of the catalogue, a hub id, or a folder."""
    endpoint: str = ""
    size: str = ""
    """The machine size, where the backend has a choice."""
    ttl_hours: float | None = None
    """Hours after which the deployment may be removed; None: never by itself."""
    gradual: bool = False
    """Whether it takes the requests of its endpoint over in steps; for backends with `set_traffic`."""


class Deployment(Value):
    """A stored reference to a deployment; it stays valid in another process."""

    id: str
    url: str = ""


class DeploymentState(Value):
    """One deployment as it is now."""

    deployment: Deployment
    healthy: bool
    traffic: int = 100
    """Percent of the endpoint's requests that it answers."""
    model: str = ""
    detail: str = ""
    endpoint: str = ""
    """The endpoint whose requests it shares with others; empty where it has an address of its own."""
    previous: bool = False
    """Whether it answered before the present one, so that a rollback goes to it."""
    template_sha256: str = ""
    """Names the chat template that its model was trained with; empty where nobody knows."""
    made: float | None = None
    """When it was made, in seconds since the epoch; None where nobody knows or nothing depends on it."""
    until: float | None = None
    """When its time to live is up; None: never by itself."""
    foreign: bool = False
    """Whether others have made it: it can be chatted with, and is never changed or deleted."""


class Resource(Value):
    """Something that is alive and may cost money."""

    kind: str
    name: str
    state: str
    usd_per_hour: float | None = 0.0
    """None: it costs something, but nobody could say how much."""


class Access(Value):
    """How any OpenAI client reaches a deployment. The key is a secret: it is never stored or logged."""

    base_url: str
    """Ends before `/chat/completions`."""
    key: str = Field(repr=False)
    model: str = ""
    """What to put in a request's `model`."""


class Estimate(Value):
    """Time and money as a range."""

    seconds: tuple[float, float] | None = None
    usd: tuple[float, float] | None = None
    """None: unknown. `(0, 0)`: free."""
    usd_per_hour: float | None = None
    """What it goes on costing while it is alive."""
    usd_rate: float | None = None
    """What a job costs an hour while it runs; None: nothing, or nobody knows."""
    download_bytes: int | None = 0
    """What has to be fetched onto this machine first; None: nobody knows how much."""
    memory_bytes: tuple[float, float] | None = None
    """What it needs at its peak, where it runs."""
    memory_free: float | None = None
    """What is free there now, in bytes."""
    source: str = ""
    """Where the numbers come from, with their date."""
    refusal: str = ""
    """Why it would fail there as things are, in a sentence; it is not begun then."""
    hint: str = ""
    """What to do about that."""

    @property
    def free(self) -> bool:
        """Whether it certainly costs nothing, neither once nor by the hour."""
        return self.usd == (0, 0) and not self.usd_per_hour


class Message(Value):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatOptions(Written):
    """How to answer."""

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    """0 is greedy: the same question has the same answer."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    continue_final: bool = False
    """Go on with the last message, a partial answer, instead of starting a new one."""
    overflow: Literal["error", "drop_oldest"] = "error"
    """What to do with a conversation longer than the model's context."""


class Usage(Value):
    """What an answer cost and why it ended."""

    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    """`stop`: the model ended; `length`: a limit did; else the backend's own word."""
    dropped_messages: int = 0
    """How many of the oldest messages did not fit the context and were not shown to the model."""
    context: int | None = None
    """Tokens that the model can see at once, where the backend knows."""
    template_sha256: str = ""
    """Names the chat template in which the model was shown the conversation, where the backend knows."""


S = TypeVar("S", bound=Settings)


class Backend(ABC, Generic[S]):
    """Somewhere to train, deploy and chat with a model.

    Every method is safe to call twice, may be cancelled at any await, must not block the event
    loop, and raises only BackendError. A new instance with the same settings and workdir, in a new
    process, picks up where the last one stopped. `workdir` is the backend's own folder; it may not
    exist yet.
    """

    title: ClassVar[str]
    """What people read in a picker."""
    settings_type: ClassVar[type[Settings]]

    def __init__(self, settings: S, workdir: Path) -> None:
        self.settings = settings
        self.workdir = workdir

    @abstractmethod
    async def check(self) -> list[Check]:
        """What must be in place for the other methods to work. Never raises, never spends."""

    @abstractmethod
    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        """Start a job, or find the one of that name: it runs on when this process ends.

        A finished job is returned as it is; a failed or cancelled one is started again and goes on
        from its last complete checkpoint.
        """

    @abstractmethod
    def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        """The job's events from its first, then as they come, to exactly one finished `Status`.

        Raises:
            NotFoundError: there is no such job.
        """

    @abstractmethod
    async def cancel(self, job: Job) -> None:
        """End a job; one that is finished stays as it is."""

    @abstractmethod
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        """Make a model answer chats, or find the deployment of that name.

        Raises:
            NotFoundError: there is no such model.
        """

    @abstractmethod
    async def deployments(self) -> list[DeploymentState]:
        """What exists, healthy or not."""

    @abstractmethod
    async def delete(self, deployment: Deployment) -> None:
        """Remove a deployment for good; one that is gone already is no error."""

    @abstractmethod
    def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer piece by piece, then one `Usage`. Closing the generator stops the model.

        Raises:
            NotFoundError: there is no such deployment.
        """

    # What a backend may do without. Overriding one is how it says that it can.

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        """The steps that `submit`, `deploy` or (None) `provision` would take; changes nothing."""
        self._unsupported("show a plan")

    async def sign_in(self, report: Report) -> bool:
        """Let a person sign in at any browser: `report` says where, and with which code.

        Returns whether other processes are signed in too; otherwise it ends with this one.
        """
        self._unsupported("be signed in to: it asks nobody who you are")

    async def provision(self, report: Report) -> None:
        """Make the place ready: workspace, identity, roles, quota."""
        self._unsupported("be provisioned: there is nothing to make ready")

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        """What `submit` or `deploy` would cost."""
        self._unsupported("estimate time and money")

    async def fetch(self, job: Job, directory: Path, report: Report) -> Path:
        """Bring the model that a job made to this machine; returns its folder."""
        self._unsupported("fetch a model")

    async def set_traffic(self, endpoint: str, weights: Mapping[str, int], report: Report) -> None:
        """Share an endpoint's requests among its deployments, in percent."""
        self._unsupported("share traffic among deployments")

    def logs(self, what: Job | Deployment) -> AsyncGenerator[str, None]:
        """The lines that a job or a deployment has written so far."""
        self._unsupported("show logs")

    async def resources(self) -> list[Resource]:
        """All that is alive and what it costs an hour."""
        self._unsupported("list what is alive")

    async def remove(self, resource: Resource, report: Report) -> None:
        """Stop and delete one of `resources`; one that is gone already is no error."""
        self._unsupported("remove what is alive")

    async def access(self, deployment: Deployment) -> Access:
        """Base URL and key for other clients, fetched now."""
        self._unsupported("be reached by other clients")

    async def aclose(self) -> None:
        """Let go of connections. What runs elsewhere runs on."""
        return

    @classmethod
    def supports(cls, method: str) -> bool:
        """Whether this backend has its own version of an optional method."""
        return getattr(cls, method) is not getattr(Backend, method)

    def _unsupported(self, verb: str) -> NoReturn:
        raise UnsupportedError(f"The backend {self.title!r} cannot {verb}.")


AnyBackend = Backend[Any]
