"""Amounts of money as people type them."""

from __future__ import annotations

import argparse


def usd(text: str) -> float:
    """An amount of US dollars, for a flag.

    Raises:
        ArgumentTypeError: it is none.
    """
    from phichat.workflow.money import dollars

    try:
        return dollars(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
