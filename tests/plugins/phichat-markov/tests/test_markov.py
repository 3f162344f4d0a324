"""The Markov chain keeps every promise that a backend makes."""

from phichat.testing import BackendConformance


class TestMarkov(BackendConformance):
    backend_name = "markov"
    settings = {"delay": 0.01}
