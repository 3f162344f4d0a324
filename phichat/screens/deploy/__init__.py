"""The screen Deploy."""
