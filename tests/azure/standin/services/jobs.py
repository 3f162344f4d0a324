"""Command jobs: queued, prepared and run on a node that is a process of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.azure.standin.node import Node, Play
from tests.azure.standin.services.blobs import Blobs
from tests.azure.standin.services.registered import Registered
from tests.azure.standin.services.workspaces import ACCOUNT, ARM, CONTAINER, WORKSPACE
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

LOGS = "azureml"
"""The container of what jobs write."""
BEFORE = ("Queued", "Preparing", "Running")
ENDED = frozenset({"Completed", "Failed", "Canceled"})
FIXED = ("codeId", "command", "environmentId", "inputs", "outputs", "computeId", "environmentVariables")
"""What cannot be changed once a job of that name is there."""


@dataclass
class Job:
    """One job as the cloud knows it."""

    name: str
    path: str
    properties: Json
    log: Path
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    status: str = "Queued"
    error: Json | None = None
    node: Node | None = None
    tries: int = 0


class Jobs(Service):
    """The jobs by name. Each look at one lets it go one step further, so that no test waits for a clock."""

    def __init__(self, blobs: Blobs, registered: Registered, folder: Path) -> None:
        self.blobs = blobs
        self.registered = registered
        self.folder = folder
        self.found: dict[str, Job] = {}
        self.play: Play | None = None
        """What jobs do instead of running their command."""
        self.holding = False
        """Whether no job gets a machine."""

    def close(self) -> None:
        """End what is running."""
        for job in self.found.values():
            if job.node:
                job.node.kill()

    def look(self, job: Job) -> Job:
        """The job, one step further than at the last look."""
        if job.status in BEFORE[:2] and not (self.holding and job.status == "Queued"):
            job.status = BEFORE[BEFORE.index(job.status) + 1]
            job.started = job.started or time.time()
            if job.status == "Running":
                job.tries += 1
                job.node = Node(self._folder(job), self._mounts(job), job.properties, job.log, self.play)
        elif job.node is not None and job.status in ("Running", "CancelRequested"):
            self._ended(job, job.node.code())
        elif job.status == "CancelRequested":
            self._end(job, "Canceled")
        return job

    def preempt(self, name: str) -> None:
        """Take the machine away: the job waits for another one, and starts its command again there."""
        job = self.found[name]
        assert job.node is not None
        job.node.kill()
        job.node, job.status = None, "Queued"

    def fail(self, name: str, code: str, message: str) -> None:
        """Let a job end as failed, whatever its command does."""
        job = self.found[name]
        if job.node:
            job.node.kill()
        self._end(job, "Failed", {"error": {"code": code, "message": message}})

    @route("GET", ARM, rf"{WORKSPACE}/jobs/(?P<name>[^/]+)")
    def get(self, request: Request, name: str, **place: str) -> Response:
        job = self.found.get(name)
        if job is None:
            return error(404, "NotFound", f"Run {name} was not found.")
        return answer(_shown(job))

    @route("PUT", ARM, rf"{WORKSPACE}/jobs/(?P<name>[^/]+)")
    def put(self, request: Request, name: str, **place: str) -> Response:
        told = request.json["properties"]
        there = self.found.get(name)
        if there is not None:
            if any(there.properties.get(key) != told.get(key) for key in FIXED):
                said = "A job with this name already exists. If you are trying to create a new job, use a "
                return error(400, "UserError", f"{said}different name.")
            return answer(_shown(there))
        log = self.blobs.place(ACCOUNT, LOGS, f"ExperimentRun/dcid.{name}/user_logs/std_log.txt")
        job = self.found[name] = Job(name, request.path, told, log)
        return answer(_shown(job), 201)

    @route("POST", ARM, rf"{WORKSPACE}/jobs/(?P<name>[^/]+)/cancel")
    def cancel(self, request: Request, name: str, **place: str) -> Response:
        job = self.found.get(name)
        if job is None:
            return error(404, "NotFound", f"Run {name} was not found.")
        if job.status not in ENDED:
            job.status = "CancelRequested"
            if job.node:
                job.node.end()
        return answer({}, 200)

    def _ended(self, job: Job, code: int | None) -> None:
        if code is None:
            return
        if job.status == "CancelRequested":
            self._end(job, "Canceled")
        elif code == 0:
            self._end(job, "Completed")
        else:
            told = f"Execution failed. User process 'python' exited with status code {code}."
            self._end(job, "Failed", {"error": {"code": "UserError", "message": told}})

    def _end(self, job: Job, status: str, told: Json | None = None) -> None:
        job.status, job.error, job.ended = status, told, time.time()

    def _folder(self, job: Job) -> Path:
        return self.folder / f"{job.name}-{job.tries}"

    def _mounts(self, job: Job) -> dict[str, Path | str]:
        """Where a command finds its code, inputs and outputs: the blobs themselves."""
        told = job.properties
        code = self.registered.at(told["codeId"])["properties"]["codeUri"]
        mounts: dict[str, Path | str] = {"code": self._blob(code)}
        for kind in ("inputs", "outputs"):
            for name, each in (told.get(kind) or {}).items():
                mounts[f"{kind}.{name}"] = self._mount(job, name, each)
        return mounts

    def _mount(self, job: Job, name: str, told: Json) -> Path | str:
        if told.get("jobInputType") == "literal":
            return str(told["value"])
        uri = told.get("uri") or f"azureml://datastores/workspaceblobstore/paths/azureml/{job.name}/{name}/"
        if "/versions/" in uri:
            uri = self.registered.at(uri)["properties"]["dataUri"]
        place = self.blobs.place(ACCOUNT, CONTAINER, uri.partition("/paths/")[2].rstrip("/"))
        if "jobOutputType" in told:
            place.mkdir(parents=True, exist_ok=True)
        return place

    def _blob(self, url: str) -> Path:
        container, _, name = url.partition(".blob.core.windows.net/")[2].partition("/")
        return self.blobs.place(ACCOUNT, container, name)


def _shown(job: Job) -> Json:
    studio = {"jobServiceType": "Studio", "endpoint": f"https://ml.azure.com/runs/{job.name}?wsid={job.path}"}
    outputs = {"default": {"jobOutputType": "uri_folder", "uri": f"azureml://datastores/x/paths/{job.name}"}}
    return {
        "id": job.path,
        "name": job.name,
        "type": "Microsoft.MachineLearningServices/workspaces/jobs",
        "properties": {
            **job.properties,
            "outputs": {**(job.properties.get("outputs") or {}), **outputs},
            "status": job.status,
            "services": {"Studio": studio},
        },
        "systemData": {"createdAt": "2026-11-26T12:00:00.0000000+00:00", "createdByType": "User"},
    }
