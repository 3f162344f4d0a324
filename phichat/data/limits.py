"""How much of a file is read at once, and how long one row may be."""

from __future__ import annotations

CHUNK = 2**20
"""Bytes that are read at once."""
ROW_LIMIT = 64 * 2**20
"""Bytes of one row; a longer one is an error, so that memory stays bounded whatever the file."""
