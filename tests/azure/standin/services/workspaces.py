"""Workspaces, and their datastores with what opens them."""

from __future__ import annotations

from tests.azure.standin.services.blobs import Blobs
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

ARM = r"management\.azure\.com"
GROUP = r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
WORKSPACE = rf"{GROUP}/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+)"
ACCOUNT = "phichatstorage"
CONTAINER = "azureml-blobstore-0000"
REGION = "https://eastus2.api.azureml.ms"


class Workspaces(Service):
    """The workspaces by path; each keeps its data in the one storage account."""

    def __init__(self, subscription: str, blobs: Blobs) -> None:
        self.subscription = subscription
        self.blobs = blobs
        self.found: dict[str, Json] = {}

    def make(self, group: str, workspace: str, location: str = "eastus2") -> None:
        """A workspace that is simply there."""
        top = f"/subscriptions/{self.subscription}/resourceGroups/{group}/providers"
        path = f"{top}/Microsoft.MachineLearningServices/workspaces/{workspace}"
        self.found[path.lower()] = {
            "id": path,
            "name": workspace,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": location,
            "identity": {"type": "SystemAssigned", "principalId": "a-principal", "tenantId": "a-tenant"},
            "properties": {
                "provisioningState": "Succeeded",
                "workspaceId": "3f2a7a54-7a3e-4d4c-8b8f-000000000001",
                "discoveryUrl": f"{REGION}/discovery",
                "mlFlowTrackingUri": f"azureml://eastus2.api.azureml.ms/mlflow/v1.0{path}",
                "storageAccount": f"{top}/Microsoft.Storage/storageAccounts/{ACCOUNT}",
                "keyVault": f"{top}/Microsoft.KeyVault/vaults/phichatvault",
                "applicationInsights": f"{top}/Microsoft.Insights/components/phichat",
                "containerRegistry": f"{top}/Microsoft.ContainerRegistry/registries/phichatregistry",
                "hbiWorkspace": False,
            },
            "tags": {},
        }

    @route("GET", r"eastus2\.api\.azureml\.ms", r"/discovery")
    def discovery(self, request: Request) -> Response:
        return answer({"api": REGION, "history": REGION, "experimentation": REGION})

    @route("GET", ARM, WORKSPACE)
    def get(self, request: Request, subscription: str, group: str, workspace: str) -> Response:
        found = self.found.get(request.path.lower())
        if found is None:
            told = f"The Resource 'Microsoft.MachineLearningServices/workspaces/{workspace}' under resource "
            return error(404, "ResourceNotFound", f"{told}group '{group}' was not found.")
        return answer(found)

    @route("GET", ARM, rf"{WORKSPACE}/datastores/(?P<name>[^/]+)")
    def datastore(self, request: Request, name: str, **place: str) -> Response:
        return answer(
            {
                "id": request.path,
                "name": name,
                "type": "Microsoft.MachineLearningServices/workspaces/datastores",
                "properties": {
                    "datastoreType": "AzureBlob",
                    "accountName": ACCOUNT,
                    "containerName": CONTAINER,
                    "endpoint": "core.windows.net",
                    "protocol": "https",
                    "isDefault": True,
                    "credentials": {"credentialsType": "AccountKey"},
                    "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity",
                    "tags": {},
                    "properties": {},
                },
            }
        )

    @route("POST", ARM, rf"{WORKSPACE}/datastores/(?P<name>[^/]+)/listSecrets")
    def secrets(self, request: Request, name: str, **place: str) -> Response:
        return answer({"secretsType": "Sas", "sasToken": self.blobs.sign()})
