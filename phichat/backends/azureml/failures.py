"""What Azure says when something fails, told in plain words; what nobody knows is shown whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from phichat.backends.azureml.failure_table import CHECK, FAILURES
from phichat.errors import AuthError, BackendError, NotFoundError, UnavailableError

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SECRETS = (
    re.compile(r"(?i)(?<=[?&;\s\"']sig=)[^&\s\"']+"),  # the signature of a shared access signature
    re.compile(r"(?i)(?<=AccountKey=)[^;\s\"']+"),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"),  # a token of Entra
)
MASK = "[secret]"


def clean(text: str) -> str:
    """A text of Azure's without colours, and without anything that opens a door."""
    text = _ANSI.sub("", text)
    for pattern in _SECRETS:
        text = pattern.sub(MASK, text)
    return text


def diagnose(text: str, login: str = "az login") -> BackendError | None:
    """The known failure that a message, or a log, tells of; None for one that is not in the table."""
    for failure in FAILURES:
        found = re.search(failure.pattern, text, re.DOTALL)
        if found:
            words = {name: value or "it" for name, value in found.groupdict().items()}
            return failure.error(_filled(failure.cause, words), _filled(failure.hint, {"login": login}))
    return None


def translate(error: BaseException, doing: str, login: str = "az login") -> BackendError:
    """An exception of Azure's libraries as one sentence; `doing` is what failed, as "create the cluster".

    One that is not in the table is told whole, with the id by which Microsoft's support finds the request.
    """
    if isinstance(error, BackendError):
        return error
    text = " ".join(clean(_text(error)).split())
    known = diagnose(f"{_code(error)} {text}", login)
    status = getattr(error, "status_code", None)
    if isinstance(known, AuthError):
        return known  # whatever was to be done: one sentence, and the command that mends it
    if known is not None:
        return type(known)(f"Azure could not {doing}. {known.message}", known.hint)
    told = f"Azure could not {doing}: {text.rstrip('.')}{_request(error)}."
    if status == 401 or _unknown_person(error):
        return AuthError(told, login)
    if _absent(error):
        return NotFoundError(told, CHECK)
    if status in (408, 429) or (status or 0) >= 500 or _no_answer(error):
        return UnavailableError(told, "Repeat the command in a minute.")
    return BackendError(told, CHECK)


def request_id(error: BaseException) -> str:
    """The id under which Azure has logged the request that failed; empty if it sent none."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    names = ("x-ms-request-id", "x-ms-correlation-request-id", "x-request-id")
    return next((headers[name] for name in names if headers.get(name)), "")


def has_code(error: BackendError, code: str) -> bool:
    """Whether Azure gave this code as the reason."""
    return code in _codes(getattr(error.__cause__, "error", None))


def _request(error: BaseException) -> str:
    found = request_id(error)
    return f" (request {found})" if found else ""


def _filled(template: str, words: Mapping[str, str]) -> str:
    return template.format(**{"login": "az login", "scope": "it", "namespace": "this service", **words})


def _text(error: BaseException) -> str:
    return str(getattr(error, "message", "") or str(error) or type(error).__name__)


def _code(error: BaseException) -> str:
    return " ".join(_codes(getattr(error, "error", None)))


def _codes(error: object) -> Iterator[str]:
    """The codes of an error and of those inside it: the inner ones say what it really was."""
    code = getattr(error, "code", None)
    if code:
        yield str(code)
    for each in getattr(error, "details", None) or ():
        yield from _codes(each)


def _unknown_person(error: BaseException) -> bool:
    from azure.core.exceptions import ClientAuthenticationError

    return isinstance(error, ClientAuthenticationError)


def _absent(error: BaseException) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    return isinstance(error, ResourceNotFoundError)


def _no_answer(error: BaseException) -> bool:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    return isinstance(error, (ServiceRequestError, ServiceResponseError, TimeoutError, ConnectionError))
