"""Ends the process when it is imported, as a script would."""

import sys

sys.exit("This is not a module.")
