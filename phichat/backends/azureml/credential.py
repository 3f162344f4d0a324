"""Signing in to Azure: whoever is signed in already, or a person with a code; `az` is not needed."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phichat.backends.azureml.storage import StoppedError
from phichat.events import Status
from phichat.paths import write_atomic

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions

    from phichat.backends.base import Report

MANAGEMENT = "https://management.azure.com/.default"
"""The scope of everything that is not a blob: Azure ML takes tokens of the resource manager too."""
ORDER = (
    "phichat login",
    "environment (AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_CLIENT_SECRET)",
    "workload identity",
    "managed identity",
    "Visual Studio Code",
    "az login",
    "Azure PowerShell",
    "azd auth login",
)
"""Who is asked for a token, in this order: the sign-in by code, then as `DefaultAzureCredential` does."""
CACHE = "phichat"
"""The name under which the operating system's keyring keeps a sign-in by code."""
_here: dict[tuple[Path | None, str | None], Any] = {}
"""Sign-ins by code that nothing keeps: they last as long as this process, in every project."""


def login_command(tenant: str | None = None) -> str:
    """The command that mends a missing or expired sign-in on this machine."""
    if shutil.which("az") is None:
        return "phichat login"
    return f"az login --tenant {tenant}" if tenant else "az login"


class SignIn:
    """A credential for every client of Azure: it finds who is signed in, in the tenant that is configured.

    It never asks anybody by itself: only `with_code` does. `record` is the file that says who signed in by
    code; it holds no secret, which is in the keyring of the operating system or nowhere.
    """

    def __init__(self, tenant: str | None = None, record: Path | None = None) -> None:
        self.tenant = tenant or None
        self._record = record
        self._chain: Any = None
        # It would write every attempt on standard error; what failed is told by whoever asked.
        logging.getLogger("azure.identity").setLevel(logging.ERROR)
        self._lock = threading.Lock()
        """One thread at a time finds out who is signed in: the others take over what it found."""

    @property
    def who(self) -> str:
        """The kind of sign-in that gave the last token, as `AzureCliCredential`; empty before the first."""
        chosen = self._chain
        while getattr(chosen, "_successful_credential", None) is not None:
            chosen = chosen._successful_credential
        return "" if chosen is self._chain else type(chosen).__name__

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """An access token, as azure-core wants it.

        Raises:
            ClientAuthenticationError: nobody is signed in, or not any more.
        """
        with self._lock:
            chain = self._credential()
            found: AccessToken = chain.get_token(*scopes, **{"tenant_id": self.tenant, **options})
        return found

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """As `get_token`, for newer clients."""
        wanted: TokenRequestOptions = {**(options or {})}
        if self.tenant:
            wanted.setdefault("tenant_id", self.tenant)
        with self._lock:
            found: AccessTokenInfo = self._credential().get_token_info(*scopes, options=wanted)
        return found

    def with_code(self, report: Report, stop: threading.Event) -> bool:
        """Let a person sign in at any browser: `report` hears the address and the code. Blocks until done.

        Returns whether other processes are signed in too: the operating system has a keyring that keeps it.

        Raises:
            ClientAuthenticationError: it was refused, or nobody came in time.
            StoppedError: nobody waits for it any more.
        """
        from azure.identity import ChainedTokenCredential

        for kept in (True, False):
            waiting = {"prompt_callback": _asking(report), "raw_request_hook": _until(stop)}
            code = self._by_code(kept=kept, **waiting)
            try:
                record = code.authenticate(scopes=[MANAGEMENT], tenant_id=self.tenant)
            except Exception as error:
                # Said before anybody is asked: where nothing can be encrypted, it is kept in memory only.
                if kept and "encrypt" in str(error):
                    continue
                raise
            break
        self._chain = ChainedTokenCredential(code)
        if not kept:
            _here[self._record, self.tenant] = self._chain
        elif self._record is not None:
            write_atomic(self._record, record.serialize(), mode=0o600)
        report(Status(state="running", detail=f"signed in as {record.username}"))
        return kept

    def close(self) -> None:
        """Let go of connections."""
        if self._chain is not None and self._chain not in _here.values():
            self._chain.close()

    def _credential(self) -> Any:
        if self._chain is None:
            self._chain = _here.get((self._record, self.tenant))
        if self._chain is None:
            from azure.identity import ChainedTokenCredential, DefaultAzureCredential

            options: dict[str, Any] = {"additionally_allowed_tenants": [self.tenant]} if self.tenant else {}
            self._chain = ChainedTokenCredential(*self._kept(), DefaultAzureCredential(**options))
        return self._chain

    def _kept(self) -> list[Any]:
        """The sign-in of an earlier `with_code`, if the keyring still has it."""
        from azure.identity import AuthenticationRecord

        with contextlib.suppress(OSError, ValueError, AttributeError):
            if self._record is not None:
                record = AuthenticationRecord.deserialize(self._record.read_text(encoding="utf-8"))
                return [_OrTheNext(self._by_code(kept=True, authentication_record=record))]
        return []

    def _by_code(self, *, kept: bool, **options: Any) -> Any:
        from azure.identity import DeviceCodeCredential, TokenCachePersistenceOptions

        # Whoever asks for a token later must not be kept waiting for a person.
        options["disable_automatic_authentication"] = True
        if self.tenant:
            options["tenant_id"] = self.tenant
        if kept:
            options["cache_persistence_options"] = TokenCachePersistenceOptions(name=CACHE)
        return DeviceCodeCredential(**options)


class _OrTheNext:
    """A credential that, whatever is wrong with it, leaves the question to the next in the chain."""

    def __init__(self, credential: Any) -> None:
        self._successful_credential = credential

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        with self._left_to_the_next():
            found: AccessToken = self._successful_credential.get_token(*scopes, **options)
            return found

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        with self._left_to_the_next():
            found: AccessTokenInfo = self._successful_credential.get_token_info(*scopes, options=options)
            return found

    @contextlib.contextmanager
    def _left_to_the_next(self) -> Iterator[None]:
        from azure.identity import CredentialUnavailableError

        try:
            yield
        except Exception as error:  # the keyring of this machine may be locked, or gone
            raise CredentialUnavailableError(message=str(error)) from error

    def __enter__(self) -> None:
        self._successful_credential.__enter__()

    def __exit__(self, *error: object) -> None:
        self._successful_credential.__exit__(*error)


def _until(stop: threading.Event) -> Callable[[object], None]:
    """What every request of a sign-in goes through: the first one after the stop ends it."""

    def go_on(_request: object) -> None:
        if stop.is_set():
            raise StoppedError

    return go_on


def _asking(report: Report) -> Callable[[str, str, datetime], None]:
    def ask(address: str, code: str, expires: datetime) -> None:
        until = expires.astimezone().strftime("%H:%M")
        report(
            Status(state="preparing", detail=f"To sign in, open {address} and enter {code} (until {until}).")
        )

    return ask
