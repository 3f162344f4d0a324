"""The backend that is Azure Machine Learning: an A100 by the hour, reached with nothing but a sign-in."""

from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.azureml.settings import AzureMLSettings
from phichat.backends.base import AnyBackend
from phichat.backends.hookspecs import hookimpl

__all__ = ["AzureMLBackend", "AzureMLSettings", "phichat_backend"]


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    """Azure Machine Learning."""
    return AzureMLBackend
