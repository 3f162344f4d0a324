"""Fetches a model of the Hugging Face hub to where the job runs, and says how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobevents import Events

FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "LICENSE*", "NOTICE*")
"""What is fetched of a repository: nothing that is code, or that may hold some."""
TELL_EVERY = 1.0
"""Seconds between two events."""


def download(hub_id: str, revision: str | None, events: Events) -> Path:
    """The folder of a hub model; what is there already is not fetched again."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(hub_id, revision=revision, allow_patterns=list(FILES), tqdm_class=_bars(events))
    )


def _bars(events: Events) -> Any:
    """A progress bar that tells events instead of drawing itself."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Told(tqdm):  # type: ignore[type-arg,misc,unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            # One bar counts the bytes of all files that are written; the others count files, or bytes twice.
            self._speaks = str(options.get("desc", "")).startswith("Reconstructing")
            super().__init__(*args, **options | {"mininterval": TELL_EVERY})

        def display(self, *args: Any, **options: Any) -> bool:
            if self._speaks and self.total:
                events.progress("download", self.n, self.total, "bytes")
            return True

    return Told
