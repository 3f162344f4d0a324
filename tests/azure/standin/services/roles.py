"""Who may do what: role assignments, which take a while to be known, and the caller's own permissions."""

from __future__ import annotations

import re

from tests.azure.standin.services.resources import Resources
from tests.azure.standin.services.slowly import Slowly
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

HOST = r"management\.azure\.com"
SCOPE = r"(?P<scope>/subscriptions/[^/]+(?:/.+)?)/providers/Microsoft\.Authorization"
OWNER: Json = {"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}


class Roles(Service):
    """Role assignments by name; a new identity is strange to it for a while."""

    def __init__(self, resources: Resources, slowly: Slowly) -> None:
        self.assignments: dict[str, Json] = {}
        self.permissions: list[Json] = [OWNER]
        self.unknown = 0
        """How often an identity is not known yet when it is given a role."""
        self.unspread = 0
        """How many looks a new assignment is not listed yet."""
        self._resources = resources
        self._slowly = slowly

    @route("GET", HOST, rf"{SCOPE}/roleAssignments")
    def listed(self, request: Request, scope: str) -> Response:
        wanted = re.fullmatch(r"principalId eq '(.+)'", request.query["$filter"])
        assert wanted is not None
        found = [
            {"name": name, "properties": each}
            for name, each in self.assignments.items()
            if each["principalId"] == wanted[1] and _related(each["scope"], scope) and self._slowly.look(name)
        ]
        return answer({"value": found})

    @route("PUT", HOST, rf"{SCOPE}/roleAssignments/(?P<name>[0-9a-f-]{{36}})")
    def give(self, request: Request, scope: str, name: str) -> Response:
        told = {**request.json["properties"], "scope": scope}
        if told["principalId"] not in self._resources.principals() or self.unknown > 0:
            self.unknown -= 1
            return error(400, "PrincipalNotFound", f"Principal {told['principalId']} does not exist.")
        if told.get("principalType") != "ServicePrincipal":
            return error(400, "UnmatchedPrincipalType", "It is no user.")
        if any(each == told and other != name for other, each in self.assignments.items()):
            return error(409, "RoleAssignmentExists", "The role assignment already exists.")
        if not self._resources.is_ready(scope):
            return error(404, "ResourceNotFound", f"The Resource '{scope}' was not found.")
        self.assignments[name] = told
        self._slowly.begin(name, self.unspread)
        return answer({"name": name, "properties": told}, 201)

    @route("GET", HOST, rf"{SCOPE}/permissions")
    def allowed(self, request: Request, scope: str) -> Response:
        # Two pages: who reads only the first has no permission at all.
        if "page" in request.query:
            return answer({"value": self.permissions})
        more = f"https://management.azure.com{request.path}?api-version=2022-04-01&page=2"
        return answer({"value": [], "nextLink": more})


def _related(one: str, other: str) -> bool:
    """Whether one scope holds the other: the service lists what is above and what is below."""
    return one.lower().startswith(other.lower()) or other.lower().startswith(one.lower())
