"""Likely personal data and keys: what is found, what is not, and what is done about it."""

from __future__ import annotations

import pytest

from phichat.data.personal import find, mask
from tests.data.conftest import Work, chat, tower


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to ann.lee+news@mail.corp.io today.", "email"),
        ("IBAN: DE89 3704 0044 0532 0130 00.", "iban"),
        ("GB82WEST12345698765432", "iban"),
        ("card 4111 1111 1111 1111, please", "card"),
        ("5500-0000-0000-0004", "card"),
        ("Call +49 (30) 1234-5678!", "phone"),
        ("Call (415) 555-2671 now", "phone"),
        ("from 8.8.8.8 to here", "ip"),
        ("export KEY=sk-proj-abcdefghijklmnop12345678", "key"),
        ("ghp_" + "a1" * 18, "key"),
        ("AKIA" + "IOSFODNN7EXAMPLE", "key"),
        ("AccountKey=" + "ab/+" * 20 + "==", "key"),
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "key"),
        ("hf_" + "abcDEF1234" * 3, "key"),
        ("eyJhbGciOiJIUzI1" + ".eyJzdWIiOiIxMjM0" + ".SflKxwRJSMeKKF2QT4", "key"),
    ],
)
def test_what_is_found(text: str, kind: str) -> None:
    found = find(text)
    assert [each.kind for each in found] == [kind]
    masked = mask(text, found)
    assert f"[{kind}]" in masked
    assert not find(masked)


@pytest.mark.parametrize(
    "text",
    [
        "name@example.com and you@test.invalid",
        "card 4111 1111 1111 1112",
        "DE88 3704 0044 0532 0130 00",
        "at 192.168.0.1, 127.0.0.1 and version 1.2.3",
        "from 1914 to 1918, 3.14159265358979",
        "a risk-adjusted-return-on-capital-invested",
        "0000 0000 0000 0000",
        "a@b",
    ],
)
def test_what_is_not(text: str) -> None:
    assert find(text) == []


def test_several_in_one_text_are_masked_in_place() -> None:
    text = "Mail ann@corp.io or +44 20 7946 0958, card 4111111111111111."
    assert mask(text, find(text)) == "Mail [email] or [phone], card [card]."


ROWS = [tower(1), tower(2), chat("Whom do I ask?", "Ask ann@corp.io or bob@corp.io.")]


def test_it_is_reported(prepared: Work) -> None:
    done = prepared(ROWS)
    assert (done.manifest.counts.personal_rows, done.manifest.counts.personal) == (1, {"email": 2})
    assert len(done.good) == 3


def test_it_is_masked(prepared: Work) -> None:
    done = prepared(ROWS, personal="mask")
    assert [("user", "Whom do I ask?"), ("assistant", "Ask [email] or [email].")] in done.good


def test_it_is_removed(prepared: Work) -> None:
    done = prepared(ROWS, personal="remove")
    assert done.manifest.counts.removed == 1
    assert "ann@corp.io" not in str(done.good)
    assert done.rows("removed") == [ROWS[2]]
