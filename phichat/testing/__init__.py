"""The suite that every backend passes: subclass `BackendConformance` in a test of your plugin.

It needs pytest and nothing else. What a test class may say beside `backend_name`, `settings` and
`base_model` is documented at `Harness` and `Calls`.
"""

from phichat.testing.conformance import BackendConformance

__all__ = ["BackendConformance"]
