"""Where in Azure Cosmos DB the conversations of one person lie, and how to get in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Place:
    """An account, a container in it, and whose conversations there."""

    endpoint: str
    """`https://ACCOUNT.documents.azure.com:443/`, or an emulator on this machine."""
    owner: str
    """Whose they are: the same on all machines of one person, another for everybody else."""
    key: SecretStr | None = None
    """The account's key; without one, whoever is signed in to Azure."""
    database: str = "phichat"
    container: str = "history"
    throughput: int | None = None
    """Request units a second of a container that is made; None: what the account decides."""
    ttl_seconds: int | None = None
    """How long after its last change a conversation is kept there; None: for ever."""

    @property
    def here(self) -> bool:
        """Whether it is an emulator on this machine: it has one address only, and signs for itself."""
        return urlsplit(self.endpoint).hostname in LOOPBACK

    @property
    def fingerprint(self) -> str:
        """Names the place, for the file that keeps a copy of it."""
        told = "\n".join([self.endpoint.rstrip("/"), self.database, self.container, self.owner])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def service(self) -> str:
        """The account, for people."""
        return f"Azure Cosmos DB {urlsplit(self.endpoint).netloc}"

    def __str__(self) -> str:
        return f"{self.service}/{self.database}/{self.container}, as {self.owner}"
