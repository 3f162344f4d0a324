"""The workspace as jobs see it: its paths, its storage, and where its run history answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from phichat.backends.azureml.place import WORKSPACE_API, Place, place_of
from phichat.errors import BackendError

if TYPE_CHECKING:
    from phichat.backends.azureml.account import Account
    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.storage import Storage

T = TypeVar("T")

DATASTORE_API = "2024-10-01-preview"
HISTORY_DOMAIN = ".api.azureml.ms"


class Workspace:
    """What is looked up once in the life of a process, and the calls below the workspace."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._place: Place | None = None
        self._history = ""

    async def place(self) -> Place:
        """Where the project is."""
        if self._place is None:
            self._place = await place_of(self.account.arm, self.account.settings)
        return self._place

    async def path(self, rest: str) -> str:
        """The path of something in the workspace."""
        return f"{(await self.place()).workspace_path}/{rest}"

    async def find(self, rest: str, version: str, doing: str) -> Json | None:
        """Something in the workspace, or None if there certainly is none.

        Raises:
            NotFoundError: there is not even a workspace.
        """
        found = await self.account.arm.find(await self.path(rest), version, doing)
        if found is None:
            await self.look()
        return found

    async def look(self) -> Json:
        """The workspace itself.

        Raises:
            NotFoundError: it is not there.
        """
        place = await self.place()
        doing = f"look up the workspace {place.workspace}"
        return await self.account.arm.get(place.workspace_path, WORKSPACE_API, doing)

    async def put(self, rest: str, version: str, body: Mapping[str, Any], doing: str) -> Json:
        """Make something that is there at once; the same body again is no error."""
        return await self.account.arm.ask("PUT", await self.path(rest), version, body, doing)

    async def storage(self) -> Storage:
        """The workspace's own store, opened with what the workspace gives out, else with the sign-in."""
        from phichat.backends.azureml.storage import DATASTORE, opened

        arm, doing = self.account.arm, "open the workspace's storage"
        path = await self.path(f"datastores/{DATASTORE}")
        told = (await arm.get(path, DATASTORE_API, doing))["properties"]
        secrets: Json = {}
        try:
            asked = {"expirableSecret": True}
            secrets = await arm.ask("POST", f"{path}/listSecrets", DATASTORE_API, asked, doing)
        except BackendError as error:
            # Whoever may not see the key may still be allowed to use the storage.
            if getattr(error.__cause__, "status_code", None) != 403:
                raise
        return await asyncio.to_thread(opened, told, secrets, self.account.sign_in)

    async def history(self) -> str:
        """The address of the run history, without a slash at its end."""
        if not self._history:
            from phichat.backends.azureml.history import discovered

            told = (await self.look()).get("properties", {})
            with self.account.arm.translated("find the run history"):
                found = await asyncio.to_thread(discovered, str(told.get("discoveryUrl", "")))
            if not (urlsplit(found).hostname or "").endswith(HISTORY_DOMAIN):
                raise BackendError("Azure named a foreign address for the run history.")
            self._history = f"{found.rstrip('/')}/history/v1.0{(await self.place()).workspace_path}"
        return self._history

    async def run(self, doing: str, work: Callable[[], T]) -> T:
        """Do something with Azure's libraries beside the event loop, and tell its failure in plain words."""
        with self.account.arm.translated(doing):
            return await asyncio.to_thread(work)
        raise AssertionError("unreachable")
