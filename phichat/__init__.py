"""From nothing to chatting with a Phi model that you fine-tuned yourself, in the terminal."""

__version__ = "0.1.0"
