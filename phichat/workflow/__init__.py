"""The headless API: check, train, deploy and chat over any backend, with what a project's config says."""

from phichat.workflow.project import Project

__all__ = ["Project"]
