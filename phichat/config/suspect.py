"""Tells values that nobody meant: placeholders that were never filled in, and secrets in the open."""

from __future__ import annotations

import re
from typing import Any

_PLACEHOLDER = re.compile(
    r"""<[^<>]+> | \{\{.*\}\} | \$\{.*\} | x{3,} | \.{3} | … | 0{8}-(?:0{4}-){3}0{12}
      | (?:.*[/@.])?your[_-].* | (?:change|replace)[_-]?me | placeholder
      | (?:insert|enter|put)[_-].*[_-]here""",
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:api_?key|access_?key|account_?key|key|token|secret|password|passwd|credentials?|connection_string)$",
    re.IGNORECASE,
)
_KEY_VALUE = re.compile(
    r"""(?<![A-Za-z0-9])
      (?:hf_[A-Za-z0-9]{20,} | sk-[A-Za-z0-9_-]{16,} | gh[opsur]_[A-Za-z0-9]{20,}
      | github_pat_[A-Za-z0-9_]{20,} | AKIA[0-9A-Z]{16} | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*
      | [A-Za-z0-9+/]{86}== | [A-Za-z0-9]{20,}JQQJ99[A-Za-z0-9]{20,}
      | (?:AccountKey|SharedAccessKey|sig)=[A-Za-z0-9%+/=_-]{16,})""",
    re.VERBOSE,
)


def is_placeholder(value: Any) -> bool:
    """Whether a text only stands for the value that should be there, as `your_endpoint` or `<your-key>`."""
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value.strip()) is not None


def names_secret(name: str) -> bool:
    """Whether a key of this name would hold a secret."""
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def looks_like_key(value: Any) -> bool:
    """Whether a text holds what a service gives out as a key or token."""
    return isinstance(value, str) and _KEY_VALUE.search(value) is not None


def without_keys(text: str, mask: str) -> str:
    """The text with everything that looks like a key or token masked."""
    return _KEY_VALUE.sub(mask, text)
