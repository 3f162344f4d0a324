"""Amounts of money as people type them."""

from __future__ import annotations

import argparse
import math


def usd(text: str) -> float:
    """An amount of US dollars, for a flag.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        amount = float(text.removeprefix("US").removeprefix("$"))
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of US dollars")
    return amount
