"""Likely personal data and keys in texts: a small set of patterns, each with its checksum if it has one.

Meant to make a person look, not to prove anything: names and addresses are not found, and a number that only
looks like a card's is. What each kind matches stands beside its pattern.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["email", "phone", "iban", "card", "ip", "key"]


@dataclass(frozen=True)
class Found:
    """Something that looks personal, and where it stands in the text."""

    kind: Kind
    start: int
    end: int


def _luhn(text: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and any(digits)


def _mod_97(text: str) -> bool:
    """The checksum of an IBAN (ISO 13616): letters as numbers, the first four characters last."""
    compact = text.replace(" ", "")
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return 15 <= len(compact) <= 34 and int(number) % 97 == 1


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _dialled(text: str) -> bool:
    """As many digits as a telephone number has (ITU-T E.164: at most 15)."""
    return 8 <= sum(map(str.isdigit, text)) <= 15


def _owned(text: str) -> bool:
    """Not at a domain that is reserved for examples (RFC 2606)."""
    domain = "." + text.rpartition("@")[2].lower()
    reserved = (".example.com", ".example.org", ".example.net", ".example", ".test", ".invalid", ".localhost")
    return not domain.endswith(reserved)


def _always(_text: str) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """How one kind is found."""

    kind: Kind
    pattern: re.Pattern[str]
    valid: Callable[[str], bool]


def _rule(kind: Kind, pattern: str, valid: Callable[[str], bool] = _always) -> Rule:
    return Rule(kind, re.compile(pattern), valid)


_LONG = re.compile(r"[0-9](?:[ .()-]{0,2}[0-9]){7}")
"""Eight digits with little between them, as in every number that belongs to somebody."""
_DOTTED = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]")

RULES: tuple[tuple[str | re.Pattern[str], tuple[Rule, ...]], ...] = (
    ("@", (_rule("email", r"[\w.%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", _owned),)),
    ("sk-", (_rule("key", r"\bsk-(?:[A-Za-z]+-)*[A-Za-z0-9_]{20,}"),)),  # OpenAI, and others alike
    ("ghp_", (_rule("key", r"\bghp_[A-Za-z0-9]{36}"),)),  # GitHub, classic
    ("github_pat_", (_rule("key", r"\bgithub_pat_\w{40,}"),)),
    ("AKIA", (_rule("key", r"\bAKIA[0-9A-Z]{16}\b"),)),  # Amazon Web Services
    ("AIza", (_rule("key", r"\bAIza[0-9A-Za-z_-]{35}"),)),  # Google
    ("xox", (_rule("key", r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),)),  # Slack
    ("hf_", (_rule("key", r"\bhf_[A-Za-z0-9]{30,}"),)),  # Hugging Face
    ("eyJ", (_rule("key", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),)),  # JSON Web Token
    ("AccountKey=", (_rule("key", r"AccountKey=[A-Za-z0-9+/]{60,}={0,2}"),)),  # Azure Storage
    ("PRIVATE KEY-----", (_rule("key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),)),
    (
        _LONG,
        (
            _rule("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _mod_97),
            # Cards begin with 3 (American Express, Diners), 4 (Visa), 2 or 5 (Mastercard) or 6 (Discover).
            _rule("card", r"(?<![\d.-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d-])", _luhn),
            # International numbers with their plus, and North American ones in their usual writing.
            _rule("phone", r"(?<!\w)\+\d{1,3}[ .-]?\(?\d[\d ().-]{5,16}\d(?!\w)", _dialled),
            _rule("phone", r"(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w-])"),
        ),
    ),
    (_DOTTED, (_rule("ip", r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])", _public),)),
)
"""What a text must have at all, which is found many times faster and most have not; then the rules."""


def find(text: str) -> list[Found]:
    """Everything in a text that looks personal, in order; what overlaps is one thing, the first rule's."""
    found: list[Found] = []
    for part, rules in RULES:
        if not (part in text if isinstance(part, str) else part.search(text)):
            continue
        for rule in rules:
            for match in rule.pattern.finditer(text):
                free = all(match.end() <= other.start or match.start() >= other.end for other in found)
                if free and rule.valid(match.group()):
                    found.append(Found(rule.kind, *match.span()))
    return sorted(found, key=lambda each: each.start)


def mask(text: str, found: Sequence[Found]) -> str:
    """The text with `[kind]` in place of everything that was found."""
    pieces, at = [], 0
    for each in found:
        pieces += [text[at : each.start], f"[{each.kind}]"]
        at = each.end
    return "".join([*pieces, text[at:]])
