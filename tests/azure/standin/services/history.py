"""Run history: how far a job is, and where its logs are."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.azure.standin.services.blobs import Blobs
from tests.azure.standin.services.jobs import LOGS, Job, Jobs
from tests.azure.standin.services.workspaces import ACCOUNT, GROUP
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

HOST = r"eastus2\.api\.azureml\.ms"
RUN = (
    rf"/history/v1\.0{GROUP}/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+)"
    r"/runs/(?P<name>[^/]+)"
)


class History(Service):
    """What the portal shows of a run."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.blobs: Blobs = jobs.blobs

    @route("GET", HOST, rf"{RUN}/details")
    def details(self, request: Request, name: str, **place: str) -> Response:
        job = self.jobs.found.get(name)
        if job is None:
            return error(404, "UserError", f"Run {name} was not found.")
        return answer(self._told(self.jobs.look(job)))

    def _told(self, job: Job) -> Json:
        files = {}
        if job.log.exists():
            name = job.log.relative_to(self.blobs.place(ACCOUNT, LOGS)).as_posix()
            url = f"https://{ACCOUNT}.blob.core.windows.net/{LOGS}/{name}?{self.blobs.sign()}"
            files = {"user_logs/std_log.txt": url}
        return {
            "runId": job.name,
            "status": job.status,
            "createdTimeUtc": _time(job.created),
            "startTimeUtc": _time(job.started),
            "endTimeUtc": _time(job.ended),
            "error": job.error,
            "warnings": [],
            "logFiles": files,
            "target": "gpu",
            "properties": {},
        }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
