"""What Cosmos DB, its sign-in and the network complain about, as one sentence and a hint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from phichat.errors import HistoryError, UnreachableError
from phichat.history.cosmos.place import Place

SIGN_IN = "Sign in with 'az login', or: phichat secret set history.key"
WORTH_TRYING = frozenset({408, 410, 429, 449, 500, 502, 503, 504})


@contextlib.contextmanager
def explained(place: Place) -> Iterator[None]:
    """Turns what goes wrong inside into one sentence about the place.

    Raises:
        UnreachableError: nobody answers there, or not now.
        HistoryError: it answers, and refuses.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as error:
        raise HistoryError(f"Nobody is signed in who may use {place.service}.", SIGN_IN) from error
    except HttpResponseError as error:
        raise _refusal(place, error.status_code or 0, str(error.message)) from error
    except (AzureError, TimeoutError, OSError) as error:
        raise UnreachableError(
            f"{place.service} cannot be reached.", "phichat history sync, when it can"
        ) from error


def _refusal(place: Place, status: int, told: str) -> HistoryError:
    if status == 401:
        return HistoryError(f"{place.service} does not accept the key.", SIGN_IN)
    if status == 403:
        return HistoryError(
            f"{place.service} refuses whoever is signed in, or this address.",
            "They need the role 'Cosmos DB Built-in Data Contributor', and the account's firewall must let"
            " this machine in.",
        )
    if status == 413:
        return HistoryError(f"{place.service} does not take a document as large as that.")
    if status == 429:
        return UnreachableError(
            f"{place.service} is asked for more than its throughput allows.", "Try again in a moment."
        )
    if status in WORTH_TRYING:
        return UnreachableError(f"{place.service} answered {status}.", "phichat history sync, later")
    lines = [line.strip() for line in told.splitlines() if line.strip() and "Status code:" not in line]
    reason = lines[0][:200] if lines else "without a reason."
    return HistoryError(f"{place.service} answered {status}: {reason}")
