"""Where conversations are kept, as configured: opened, moved, and checked before anybody relies on it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from phichat.backends.base import Check
from phichat.config import Config, secret
from phichat.errors import ConfigError, HistoryError, PhichatError
from phichat.history import HistoryStore, Merged
from phichat.history.cosmos import CosmosStore, Place

StoreName = Literal["sqlite", "cosmos"]
STORES: tuple[StoreName, ...] = ("sqlite", "cosmos")
CHECK_SECONDS = 30.0
SECONDS_A_DAY = 86_400


def open_history(
    config: Config, data: Path, environ: Mapping[str, str], name: StoreName | None = None
) -> HistoryStore:
    """The configured store of conversations, or the named one; in the person's data folder if it is a file.

    Raises:
        ConfigError: something is not configured, or a package is not installed.
    """
    from phichat.history.sqlite import SqliteStore

    if (name or config.history.store) == "sqlite":
        return SqliteStore(data / "history.db")
    from phichat.history.synced import SyncedStore
    from phichat.history.synced.journal import Journal

    there = place(config, environ)
    copy = data / f"history-{there.fingerprint}.db"
    return SyncedStore(SqliteStore(copy), CosmosStore(there), Journal(copy.with_suffix(".journal")))


def place(config: Config, environ: Mapping[str, str]) -> Place:
    """Where in Cosmos DB the conversations lie.

    Raises:
        ConfigError: that is not configured, or a package is not installed.
    """
    history = config.history
    if importlib.util.find_spec("aiohttp") is None or not _installed("azure.cosmos"):
        raise ConfigError(
            "The package azure-cosmos is not installed.", "python -m pip install 'phichat[cosmos]'"
        )
    if not history.endpoint:
        raise ConfigError(
            "history.endpoint is missing: the address of the Cosmos DB account.",
            'Set endpoint = "https://ACCOUNT.documents.azure.com:443/" under [history].',
        )
    if not history.owner:
        raise ConfigError(
            "history.owner is missing: whose conversations these are.",
            'Set owner = "YOUR NAME" under [history], the same on all your machines.',
        )
    return Place(
        endpoint=history.endpoint,
        owner=history.owner,
        key=secret.find(secret.HISTORY_KEY, environ),
        database=history.database,
        container=history.container,
        throughput=history.throughput,
        ttl_seconds=int(history.ttl_days * SECONDS_A_DAY) if history.ttl_days else None,
    )


async def move_history(
    config: Config, data: Path, environ: Mapping[str, str], to: StoreName, *, remove: bool
) -> Merged:
    """Bring every conversation from the other store into this one; see `phichat.history.moving`."""
    from phichat.history.moving import move

    async with contextlib.AsyncExitStack() as opened:
        stores = []
        for name in STORES:
            store = open_history(config, data, environ, name)
            opened.push_async_callback(store.aclose)
            stores.append(store)
        source, target = stores if to == "cosmos" else stores[::-1]
        return await move(source, target, remove=remove)


async def check_history(config: Config, environ: Mapping[str, str]) -> list[Check]:
    """Whether the place of the conversations is configured and can be reached; nothing for a file here."""
    if config.history.store == "sqlite":
        return []
    try:
        store = CosmosStore(place(config, environ))
    except PhichatError as error:
        return [Check(name="history", ok=False, detail=error.message, fix=error.hint)]
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            there = await store.is_there()
    except TimeoutError:
        detail, fix = f"{store.where} did not answer within {CHECK_SECONDS:g} s.", "Try again."
        return [Check(name="history", ok=False, detail=detail, fix=fix)]
    except HistoryError as error:
        fix = error.hint or "phichat history sync"
        return [Check(name="history", ok=False, detail=error.message, fix=fix)]
    finally:
        await store.aclose()
    detail = store.where if there else f"{store.where}: made on first use"
    return [Check(name="history", ok=True, detail=detail)]


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
