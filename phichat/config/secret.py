"""Secrets: kept in the keyring of the operating system or in the environment, never in a file or a log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, MutableMapping

from pydantic import BaseModel, SecretStr

from phichat.config import suspect
from phichat.config.checking import is_secret
from phichat.config.schema import keys_of
from phichat.config.sources import variable
from phichat.errors import ConfigError

SERVICE = "phichat"
"""The name under which the keyring keeps all of phichat's secrets."""
HF_TOKEN = "hf_token"  # noqa: S105 - the name of a secret
"""For models of the Hugging Face hub behind a licence; also read from `HF_TOKEN`, as everywhere."""
HISTORY_KEY = "history.key"
"""Of the Cosmos DB account that keeps the history; without it, whoever is signed in to Azure."""
MASK = "[secret]"

_revealed: set[str] = set()


def secrets_of(settings_type: type[BaseModel], backend: str) -> Iterator[str]:
    """The names of a backend's secrets; each is the key that it would have in a file."""
    for key, field in keys_of(settings_type):
        if is_secret(field):
            yield ".".join(("backends", backend, *key))


def find(name: str, environ: Mapping[str, str] = os.environ) -> SecretStr | None:
    """A secret from the environment, else from the keyring; None where neither has it.

    Raises:
        ConfigError: the keyring has to be unlocked first.
    """
    value = next((environ[each] for each in variables(name) if environ.get(each)), None) or _kept(name)
    return SecretStr(remember(value)) if value else None


def offer_hf_token(environ: MutableMapping[str, str] = os.environ) -> None:
    """Put the access token where the hub's own library looks for it; without one, most models need none."""
    with contextlib.suppress(ConfigError):
        if found := find(HF_TOKEN, environ):
            environ["HF_TOKEN"] = found.get_secret_value()


def variables(name: str) -> list[str]:
    """The environment variables that may hold a secret, in the order they are asked."""
    return [variable(name), "HF_TOKEN"] if name == HF_TOKEN else [variable(name)]


def source_of(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where a secret is: a variable's name, "keyring", or empty if nowhere."""
    return next((each for each in variables(name) if environ.get(each)), "keyring" if _kept(name) else "")


def store(name: str, value: str) -> None:
    """Put a secret into the keyring.

    Raises:
        ConfigError: this machine has no keyring that keeps anything.
    """
    import keyring

    try:
        keyring.set_password(SERVICE, name, remember(value))
        # The null keyring takes everything and keeps nothing, without a word.
        if keyring.get_password(SERVICE, name) == value:
            return
    except Exception as error:  # keyrings of operating systems raise whatever theirs do
        raise _no_keyring(name) from error
    raise _no_keyring(name)


def delete(name: str) -> bool:
    """Remove a secret from the keyring; False if it was not there."""
    import keyring

    if _kept(name) is None:
        return False
    try:
        keyring.delete_password(SERVICE, name)
    except Exception as error:  # as in `store`
        raise ConfigError(f"The keyring did not delete {name}: {redact(str(error))}.") from error
    return True


def remember(value: str) -> str:
    """The same value, which `redact` masks from now on."""
    if len(value) >= 6:  # Masking every "a" would make any text unreadable.
        _revealed.add(value)
    return value


def redact(text: str) -> str:
    """The text without any secret seen so far, nor anything that looks like a key or token."""
    for value in sorted(_revealed, key=len, reverse=True):
        text = text.replace(value, MASK)
    return suspect.without_keys(text, MASK)


def _kept(name: str) -> str | None:
    import keyring
    from keyring.errors import KeyringLocked

    try:
        return keyring.get_password(SERVICE, name)
    except KeyringLocked as error:
        raise ConfigError(
            f"The keyring is locked, so {name} cannot be read.", f"Unlock it, or set {variable(name)}."
        ) from error
    except Exception:  # no keyring here, or a broken one: the same as an empty one
        return None


def _no_keyring(name: str) -> ConfigError:
    return ConfigError(
        "This machine has no keyring that keeps secrets.",
        f"Set the environment variable {variable(name)} instead.",
    )
