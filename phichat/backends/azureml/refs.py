"""The names of endpoints and deployments: the same for the same content, and read back."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from phichat.backends.azureml import names
from phichat.errors import BackendError


class Ref(NamedTuple):
    """A deployment's two names; its id is both."""

    endpoint: str
    name: str

    @property
    def id(self) -> str:
        """What a `Deployment` is known by."""
        return f"{self.endpoint}/{self.name}"

    @property
    def path(self) -> str:
        """Where it is, below the workspace."""
        return f"onlineEndpoints/{self.endpoint}/deployments/{self.name}"


def ref_of(deployment_id: str) -> Ref | None:
    """The names in a deployment's id; None if it cannot be one."""
    endpoint, _, name = deployment_id.partition("/")
    legal = not any(names.problem("endpoint", part) for part in (endpoint, name))
    return Ref(endpoint, name) if legal else None


def endpoint_name(configured: str, place: tuple[str, ...], project: str) -> str:
    """As configured, else after the project, with a digest: a name is taken for everybody in the region.

    Raises:
        BackendError: Azure would not take the configured one.
    """
    if configured:
        if fault := names.problem("endpoint", configured):
            raise BackendError(fault, "Correct deploy.endpoint in phichat.toml.")
        return configured
    return _digested(f"phichat-{project}", *place, project)


def deployment_name(wanted: str, *what: str) -> str:
    """The name of a deployment: the same for the same content, so that another content is another one."""
    return _digested(wanted, wanted, *what)


def _digested(label: str, *what: str) -> str:
    digest = hashlib.sha256("\0".join(what).lower().encode()).hexdigest()[:8]
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    if not slug[:1].isalpha():
        slug = f"m-{slug}".strip("-")
    return f"{slug[:23].rstrip('-')}-{digest}"
