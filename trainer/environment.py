"""How the libraries behave: set before any of them is loaded, as they look only then."""

from __future__ import annotations

import os

SETTINGS = {
    # Threads that spin while they wait slow each other down several times.
    "OMP_WAIT_POLICY": "PASSIVE",
    # A progress bar without a line end would break the next event's line where both go to one file.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that does not answer must not hold up the training for long.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def prepare(threads: int | None) -> None:
    """Set what is not set yet; `threads` None leaves the number of processor threads to PyTorch."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    if "WORLD_SIZE" not in os.environ:
        # One process, one GPU. With several the Trainer would copy the model to each (DataParallel), and a
        # step would have more rows than the settings say; torchrun starts a process for each of them.
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
