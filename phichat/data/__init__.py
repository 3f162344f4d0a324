"""Conversations of any source, checked and divided: what training starts from."""

from __future__ import annotations

from phichat.data.manifest import Manifest, Prepared, current, open_prepared
from phichat.data.options import DataOptions, ModelFiles
from phichat.data.prepare import prepare
from phichat.data.problems import BadRowsError, Problem

__all__ = [
    "BadRowsError",
    "DataOptions",
    "Manifest",
    "ModelFiles",
    "Prepared",
    "Problem",
    "current",
    "open_prepared",
    "prepare",
]
