"""The subscription, and the services of Azure that have to be registered in it before their first use."""

from __future__ import annotations

from tests.azure.standin.services.slowly import Slowly
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

HOST = r"management\.azure\.com"
REGISTERED = (
    "Microsoft.MachineLearningServices",
    "Microsoft.Storage",
    "Microsoft.KeyVault",
    "Microsoft.ContainerRegistry",
    "Microsoft.Insights",
    "Microsoft.OperationalInsights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Quota",
)


class Subscriptions(Service):
    """One subscription of one tenant; asked for another one, it knows none."""

    def __init__(self, subscription: str, tenant: str, slowly: Slowly) -> None:
        self.subscription = subscription
        self.tenant = tenant
        self.state = "Enabled"
        self.offer = "PayAsYouGo_2014-09-01"
        self.others: list[Json] = []
        """More subscriptions that the sign-in has."""
        self.registered = set(REGISTERED)
        self._slowly = slowly

    def is_registered(self, namespace: str) -> bool:
        """Whether a service may be used."""
        return namespace in self.registered and self._slowly.made(namespace)

    @route("GET", HOST, r"/subscriptions")
    def listed(self, request: Request) -> Response:
        return answer({"value": [self._told(), *self.others]})

    @route("GET", HOST, r"/subscriptions/(?P<subscription>[^/]+)")
    def one(self, request: Request, subscription: str) -> Response:
        if subscription.lower() != self.subscription:
            return error(404, "SubscriptionNotFound", f"The subscription {subscription} is not there.")
        return answer(self._told())

    @route("GET", HOST, r"/subscriptions/(?P<subscription>[^/]+)/providers/(?P<namespace>[\w.]+)")
    def provider(self, request: Request, subscription: str, namespace: str) -> Response:
        made = self._slowly.look(namespace)
        state = ("Registered" if made else "Registering") if namespace in self.registered else "NotRegistered"
        return answer({"namespace": namespace, "registrationState": state})

    @route("POST", HOST, r"/subscriptions/(?P<subscription>[^/]+)/providers/(?P<namespace>[\w.]+)/register")
    def register(self, request: Request, subscription: str, namespace: str) -> Response:
        self.registered.add(namespace)
        self._slowly.begin(namespace)
        return answer({"namespace": namespace, "registrationState": "Registering"})

    def _told(self) -> Json:
        return {
            "id": f"/subscriptions/{self.subscription}",
            "subscriptionId": self.subscription,
            "tenantId": self.tenant,
            "displayName": "Pay-As-You-Go",
            "subscriptionPolicies": {"quotaId": self.offer, "spendingLimit": "Off"},
            "state": self.state,
        }
