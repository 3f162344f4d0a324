"""The chat templates of deployments: whether a model is asked in the one that it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.errors import PhichatError

if TYPE_CHECKING:
    from phichat.backends.base import Deployment
    from phichat.workflow.project import Project


class Templates:
    """What is known of the deployments of one project; each is looked up once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._trained: dict[str, str] = {}

    async def doubt(self, deployment: Deployment, served: str) -> str:
        """A sentence where an answer was asked for in another template than its model knows; else empty.

        `served` is what the answer came with: `Reply.template_sha256`.
        """
        trained = await self._of(deployment.id) if served else ""
        if trained in ("", served):
            return ""
        return (
            f"The chat template of {deployment.id} is not the one that its model was trained with, "
            "so its answers may be worse: deploy the model again."
        )

    async def _of(self, deployment: str) -> str:
        if deployment not in self._trained:
            try:
                states = await self._project.deployments()
            except PhichatError:  # the answer is there; the next one can be judged
                return ""
            self._trained |= {state.deployment.id: state.template_sha256 for state in states}
        return self._trained.setdefault(deployment, "")
