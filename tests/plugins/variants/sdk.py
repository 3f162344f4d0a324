"""A backend that imports what it builds on before anybody needs it."""

from __future__ import annotations

import textual
from phichat_markov import Markov

from tests.plugins.variants import broken


@broken("test_importing_loads_no_sdk", "import it inside the methods that need it")
class SdkAtImport(Markov):
    title = f"Markov chain with {textual.__name__}"
