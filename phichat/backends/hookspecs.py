"""The one hook by which a package offers a backend."""

from __future__ import annotations

from typing import Any

import pluggy

from phichat.backends.base import Backend

hookspec = pluggy.HookspecMarker("phichat")
hookimpl = pluggy.HookimplMarker("phichat")


@hookspec
def phichat_backend() -> type[Backend[Any]]:  # type: ignore[empty-body]  # pluggy reads only its signature
    """The backend's class. The entry point's name in group `phichat` is the backend's name."""
