"""Whether a folder belongs to a run: the same data and settings go on, others must not be mixed in."""

from __future__ import annotations

from pathlib import Path

from failures import TrainError
from files import read_json, write_json
from settings import TrainSettings

FREE = frozenset(
    {
        "device",
        "threads",
        "log_steps",
        "probes",
        "answer_tokens",
        "evaluate",
        "run_name",
        "mlflow_tracking_uri",
        "mlflow_experiment",
    }
)
"""Settings that may change when a run goes on: they change nothing in what is learned."""


def claim(folder: Path, settings: TrainSettings, data: str) -> None:
    """Make the folder this run's, or find that it is; `data` names the training rows.

    Raises:
        TrainError: the folder belongs to a run with other settings or data.
    """
    path = folder / "run.json"
    mine = {name: value for name, value in settings.as_json().items() if name not in FREE} | {"data": data}
    theirs = read_json(path)
    other = sorted(name for name in mine if theirs and theirs.get(name) != mine[name])
    if other:
        raise TrainError(
            f"{folder} holds a run with another {', '.join(other)}. Choose another --output-dir, "
            "or remove that folder."
        )
    if not theirs:
        write_json(path, mine)
