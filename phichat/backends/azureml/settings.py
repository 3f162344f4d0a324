"""What a person may say about the place on Azure: whose it is, its names, how large its machines are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from phichat.backends.azureml.machines import size_named
from phichat.backends.base import Settings


class AzureMLSettings(Settings):
    """Where on Azure a project is, and on which machines it runs."""

    subscription_id: str = Field(
        default="", description="Who pays; default: the only subscription that the sign-in has."
    )
    resource_group: str = Field(default="phichat", description="Holds all that belongs to the workspace.")
    workspace: str = Field(default="phichat", description="The Azure Machine Learning workspace.")
    location: str = Field(
        default="eastus2", description="The region, as eastus2; it decides which sizes exist."
    )
    tenant_id: str = Field(
        default="", description="Whose sign-in is used; default: the one that is signed in."
    )
    identity: str = Field(default="phichat", description="The managed identity that endpoints run as.")
    contributor: bool = Field(
        default=False,
        description="Give the identity the role Contributor on the resource group too; it needs less.",
    )
    train_size: str = Field(
        default="Standard_NC24ads_A100_v4",
        description="The machine that trains: one A100; Standard_E16s_v3 needs no quota for GPUs.",
    )
    serve_size: str = Field(
        default="Standard_E4s_v3",
        description="The machine that answers chats; cpu and gpu stand for Standard_E4s_v3 and one A100.",
    )
    endpoint_auth: Literal["key", "aml_token", "aad_token"] = Field(
        default="key",
        description="What opens a new endpoint: a key, a token of Azure ML, or the sign-in itself.",
    )
    endpoint_template: str = Field(
        default="",
        description="Model whose chat template is rendered for endpoints of others that take plain text; "
        "default: told by the name of their model.",
    )
    instance_count: int = Field(default=1, ge=1, le=64, description="Machines that train one model together.")
    compute: str = Field(default="", description="The cluster that trains; default: named after its size.")
    time_limit: float = Field(
        default=24, gt=0, le=720, description="Hours after which Azure ends a training, whoever watches."
    )
    budget: float | None = Field(
        default=None,
        gt=0,
        examples=[50],
        description="US dollars that jobs and deployments may cost, as far as this machine knows of them; "
        "what may cost more is refused.",
    )

    def serving_size(self, size: str = "") -> str:
        """The machine that answers chats, as Azure calls it: `size`, or the configured one."""
        return size_named(size or self.serve_size)
