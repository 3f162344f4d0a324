"""The flow server, beside the screen Deploy."""
