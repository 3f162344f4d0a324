"""A command job as Azure ML wants it: the trainer's scripts with their inputs, output and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends.azureml.assets import TOP, Asset, Base
from phichat.backends.azureml.environment import gpus

if TYPE_CHECKING:
    from phichat.backends.azureml.settings import AzureMLSettings

API = "2025-01-01-preview"
CONFIG = '"config-${RANK:-0}.json"'
"""Of each process its own: those of one machine share a folder."""


OUTPUT = "phichat-run"
"""What the job calls the run's folder, wherever it is mounted: so it can be told what its path means here."""


class Inputs(NamedTuple):
    """What is mounted into the job, each by its registered path."""

    code: Asset
    data: Asset
    base: Base
    model: str | None = None
    """The storage's name of a trained model's folder, where the job does not make one."""


def run_folder(name: str) -> str:
    """Where a run keeps its checkpoints and its model in the storage: one folder for all its attempts."""
    return f"{TOP}/runs/{name}"


def train_command(inputs: Inputs) -> str:
    """The command line of a training."""
    held_out = ' --eval-file "${{inputs.data}}/eval.jsonl"' if "eval.jsonl" in inputs.data.files else ""
    return (
        f'{_before(inputs)}python train.py --train-file "${{{{inputs.data}}}}/train.jsonl"{held_out}'
        f" --config {CONFIG} --output-dir {OUTPUT}"
    )


def eval_command(inputs: Inputs) -> str:
    """The command line of an evaluation."""
    # A model of the hub is known to the tuned one, with its revision.
    base = f" --base {inputs.base.link}" if inputs.base.asset else ""
    return (
        f'{_before(inputs)}python evaluate.py --model "${{{{inputs.model}}}}"{base}'
        f' --data "${{{{inputs.data}}}}/eval.jsonl" --config {CONFIG} --output-dir {OUTPUT}'
    )


def job(
    name: str,
    command: str,
    inputs: Inputs,
    config: Mapping[str, Any],
    *,
    settings: AzureMLSettings,
    top: str,
    compute: str,
    environment: str,
    output: str,
    experiment: str,
    seconds: int,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """The request's body; `top` is the workspace's path, `output` the storage's name of the run's folder."""
    return {
        "properties": {
            "jobType": "Command",
            "displayName": name,
            "experimentName": experiment,
            "isArchived": False,
            "computeId": f"{top}/computes/{compute}",
            "codeId": f"{top}/{inputs.code.path}",
            "environmentId": f"{top}/{environment}",
            "command": command,
            "environmentVariables": {
                "PHICHAT_CONFIG": json.dumps(config, ensure_ascii=False),
                "PYTHONUNBUFFERED": "1",
                # Of each attempt its own: what a machine said that was taken away is said again by the next.
                "PHICHAT_STORY": f"{OUTPUT}/story/{name}",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            "inputs": _inputs(inputs, top),
            # Mounted, so that checkpoints stay when the machine is taken away.
            "outputs": {"run": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": output}},
            "limits": {"jobLimitsType": "Command", "timeout": f"PT{seconds}S"},
            "resources": {"instanceCount": settings.instance_count, "shmSize": "8g"},
            **_distribution(settings),
            "tags": dict(tags),
        }
    }


def _before(inputs: Inputs) -> str:
    base = f'ln -sfn "${{{{inputs.base}}}}" {inputs.base.link} && ' if inputs.base.asset else ""
    run = f'ln -sfn "${{{{outputs.run}}}}" {OUTPUT} && '
    return f'{base}{run}printf %s "$PHICHAT_CONFIG" > {CONFIG} && '


def _inputs(inputs: Inputs, top: str) -> dict[str, Any]:
    found = {"data": f"{top}/{inputs.data.path}"}
    if inputs.base.asset:
        found["base"] = f"{top}/{inputs.base.asset.path}"
    if inputs.model:
        found["model"] = inputs.model
    return {
        name: {"jobInputType": "uri_folder", "mode": "ReadOnlyMount", "uri": uri}
        for name, uri in found.items()
    }


def _distribution(settings: AzureMLSettings) -> dict[str, Any]:
    """Several processes where there is more than one GPU or machine; nothing otherwise."""
    processes = max(1, gpus(settings.train_size))
    if processes * settings.instance_count == 1:
        return {}
    return {"distribution": {"distributionType": "PyTorch", "processCountPerInstance": processes}}
