"""Names that Azure takes, and the names of what is made beside a workspace."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import NamedTuple


class Rule(NamedTuple):
    """What a name of one kind looks like."""

    pattern: str
    told: str


RULES = {
    "subscription_id": Rule(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "an id as 00000000-0000-0000-0000-000000000000"
    ),
    "tenant_id": Rule(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
        "an id as 00000000-0000-0000-0000-000000000000, or a domain",
    ),
    "resource_group": Rule(
        r"[-\w.()]{0,89}[-\w()]", "1 to 90 letters, digits, - _ . ( ), and no dot at the end"
    ),
    "workspace": Rule(
        r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}",
        "3 to 33 letters, digits, - and _, and starts with a letter or digit",
    ),
    "identity": Rule(
        r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
        "3 to 128 letters, digits, - and _, and starts with a letter or digit",
    ),
    "location": Rule(r"[a-z][a-z0-9]+", "small letters and digits, as eastus2"),
    "endpoint": Rule(
        r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]",
        "3 to 32 letters, digits and -, starts with a letter and ends with no -",
    ),
    "compute": Rule(
        r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{2,23}",
        "3 to 24 letters, digits and -, starts with a letter, and does not end in - and digits",
    ),
}
"""By the key that names it; from Microsoft's published patterns."""


def problem(kind: str, name: str) -> str:
    """Why Azure would not take a name, or empty."""
    rule = RULES[kind]
    if re.fullmatch(rule.pattern, name):
        return ""
    legal = suggestion(kind, name)
    close = f"; {legal!r} would do" if legal else ""
    return f"{name!r} is no name for {kind}: {rule.told}{close}."


def suggestion(kind: str, name: str) -> str:
    """The nearest name that Azure takes; empty where there is none."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    if kind == "location":
        legal = re.sub(r"[^a-z0-9]", "", plain.lower())
    else:
        legal = re.sub(r"[^A-Za-z0-9-]+", "-", plain).strip("-")
    return legal if re.fullmatch(RULES[kind].pattern, legal) else ""


class Beside(NamedTuple):
    """The names of what a workspace needs beside itself."""

    storage: str
    vault: str
    registry: str
    logs: str
    insights: str


def beside(subscription: str, group: str, workspace: str) -> Beside:
    """The names of a workspace's own storage and so on: always the same, so that nothing is made twice.

    Storage, vault and registry share one namespace with the whole world, so their names end in a digest.
    """
    identity = f"{subscription}/{group}/{workspace}".lower()
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    label = re.sub(r"[^a-z0-9]", "", workspace.lower())
    # A vault's name starts with a letter.
    short = f"p{label}"[:12]
    return Beside(
        storage=f"{short}{digest}",
        vault=f"{short}{digest}",
        registry=f"{short}{digest}",
        logs=f"{workspace}-logs",
        insights=f"{workspace}-insights",
    )


def assignment_name(scope: str, principal: str, role: str) -> str:
    """The GUID of a role assignment: the same for the same three, so that a second one is the first."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{principal}|{role}".lower()))
