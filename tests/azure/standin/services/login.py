"""Signing in: tokens of an application, and who may ask anything at all."""

from __future__ import annotations

import base64
import json
import time

from tests.azure.standin.wire import Request, Response, Service, answer, error, route

HEADER: dict[str, object] = {"alg": "none"}
HOST = r"login\.microsoftonline\.com"


class Login(Service):
    """Gives tokens to the one application that it knows, and tells which tokens are good."""

    def __init__(self, tenant: str, client: str, secret: str) -> None:
        self.tenant = tenant
        self.client = client
        self.secret = secret
        self.tokens: set[str] = set()
        self.given = 0
        self.waits = 0
        """How often a client asks in vain until the person has entered the code."""
        self.declines = False
        """Whether the person says no."""
        self.forgotten = False
        """Whether a sign-in by code has expired for good."""
        self.lifetime = 3600
        """Seconds; the SDK asks for a new token five minutes before the end of the old one."""

    def expire(self) -> None:
        """No token that was given out is good any more."""
        self.tokens.clear()

    def refusal(self, request: Request) -> Response | None:
        """What a request without a good token is told; None where none is needed, or it is good."""
        guarded = request.host == "management.azure.com" or request.host.endswith(".api.azureml.ms")
        if not guarded or request.path.lower().endswith("/discovery") or request.bearer in self.tokens:
            return None
        return error(
            401,
            "ExpiredAuthenticationToken" if request.bearer else "AuthenticationFailed",
            "The access token is missing, expired or not yet valid.",
            WWW_Authenticate=f'Bearer authorization_uri="https://login.microsoftonline.com/{self.tenant}"',
        )

    @route("GET", HOST, r"/common/discovery/instance")
    def instance(self, request: Request) -> Response:
        metadata = [
            {
                "preferred_network": "login.microsoftonline.com",
                "preferred_cache": "login.windows.net",
                "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com"],
            }
        ]
        endpoint = f"https://login.microsoftonline.com/{self.tenant}/v2.0/.well-known/openid-configuration"
        return answer({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": metadata})

    @route("GET", HOST, r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration")
    def configuration(self, request: Request, tenant: str) -> Response:
        base = f"https://login.microsoftonline.com/{tenant}"
        return answer(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "tenant_region_scope": "NA",
                "cloud_instance_name": "microsoftonline.com",
            }
        )

    @route("POST", HOST, r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token")
    def token(self, request: Request, tenant: str) -> Response:
        form = request.form
        if "device_code" in form or "refresh_token" in form:
            return self._by_code(form)
        if form.get("client_id") != self.client or form.get("client_secret") != self.secret:
            told = "AADSTS7000215: Invalid client secret provided."
            return answer({"error": "invalid_client", "error_description": told}, 401)
        return answer(
            {
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "ext_expires_in": self.lifetime,
                "access_token": self.new(),
            }
        )

    @route("POST", HOST, r"/(?P<tenant>[^/]+)/oauth2/v2\.0/devicecode")
    def code(self, request: Request, tenant: str) -> Response:
        told = {"user_code": "ABCD1234E", "device_code": "a-device", "expires_in": 900, "interval": 0}
        place = "https://login.microsoft.com/device"
        return answer({**told, "verification_uri": place, "message": "Enter it."})

    def _by_code(self, form: dict[str, str]) -> Response:
        if "refresh_token" in form and self.forgotten:
            told = "AADSTS700082: The refresh token has expired due to inactivity."
            return answer({"error": "invalid_grant", "error_description": told}, 400)
        if self.declines:
            told = "AADSTS70016: The person has declined."
            return answer({"error": "authorization_declined", "error_description": told}, 400)
        if self.waits > 0:
            self.waits -= 1
            return answer({"error": "authorization_pending", "error_description": "Wait."}, 400)
        person = {"oid": "ada", "sub": "ada", "tid": self.tenant, "preferred_username": "ada@contoso.com"}
        issuer = {"iss": f"https://login.microsoftonline.com/{self.tenant}/v2.0", "aud": form["client_id"]}
        now = int(time.time())
        claims = {**person, **issuer, "iat": now, "nbf": now, "exp": now + self.lifetime}
        return answer(
            {
                "token_type": "Bearer",
                "scope": "https://management.azure.com/.default",
                "expires_in": self.lifetime,
                "access_token": self.new(),
                "refresh_token": "a-refresh-token",
                "id_token": f"{_part(HEADER)}.{_part(claims)}.signature",
                "client_info": _part({"uid": "ada", "utid": self.tenant}),
            }
        )

    def new(self) -> str:
        """A token that is good from now on."""
        self.given += 1
        claims: dict[str, object] = {
            "tid": self.tenant,
            "oid": self.client,
            "exp": int(time.time()) + self.lifetime,
            "n": self.given,
        }
        token = ".".join(_part(part) for part in (HEADER, claims)) + ".signature"
        self.tokens.add(token)
        return token


def _part(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
