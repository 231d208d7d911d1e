"""Secrets that a receiver echoes are not kept, in whatever form they come back."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.delivery import kept_answer
from services.notifier.secrecy import SHORTEST, forms, of_login, of_url

KEY = "whsec_" + base64.b64encode(bytes(range(200, 232))).decode()
URL = "https://plazo:pa%2Fss-w0rd@hooks.example.com/services/T0KENT0KEN/hook?key=s%3Ecret-1&team=a"


@pytest.mark.parametrize(
    "echoed",
    [
        KEY,
        KEY.removeprefix("whsec_"),
        json.dumps(KEY),
        json.dumps(KEY).replace("/", "\\/"),
        quote(KEY, safe=""),
        URL,
        "/services/T0KENT0KEN/hook?key=s%3Ecret-1&team=a",
        "no such team: T0KENT0KEN",
        "not the key s>cret-1",
        "Authorization: Basic " + base64.b64encode(b"plazo:pa/ss-w0rd").decode(),
        "pa/ss-w0rd is wrong",
        "pa%2Fss-w0rd is wrong",
    ],
)
def test_an_echo_is_not_kept(echoed: str) -> None:
    kept = kept_answer(echoed, forms(KEY, *of_url(URL)))
    assert "***" in kept
    hidden = [KEY[6:], "T0KENT0KEN", "s%3Ecret-1", "s>cret-1", "pa/ss-w0rd", "pa%2Fss-w0rd", "cGxhem86cGEvc3"]
    assert not [secret for secret in hidden if secret in kept]


def test_what_is_no_secret_stays_readable() -> None:
    said = "404 Not Found: there is no hook here, ask hooks.example.com"
    assert kept_answer(said, forms(KEY, *of_url(URL))) == said


@pytest.mark.parametrize("echoed", ["pa55word", base64.b64encode(b"\0plazo\0pa55word").decode()])
def test_a_mail_servers_echo_of_the_login_is_not_kept(echoed: str) -> None:
    assert kept_answer(f"535 {echoed} refused", forms(*of_login("plazo", "pa55word"))) == "535 *** refused"


def test_without_a_login_nothing_is_hidden() -> None:
    assert forms(*of_login(None, None)) == ()


@given(st.text(min_size=SHORTEST, max_size=40), st.text(max_size=20))
def test_no_form_of_a_secret_is_left(secret: str, around: str) -> None:
    hidden = forms(secret)
    for form in (secret, quote(secret), json.dumps(secret)[1:-1], unquote(secret)):
        if len(form) >= SHORTEST and form not in "***" and form.isprintable() and "*" not in form:
            assert form not in kept_answer(f"{around}{form}", hidden).replace(around, "", 1)
