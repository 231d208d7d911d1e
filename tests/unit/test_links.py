"""Links in messages: what they prove, and for how long."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.links import DIGESTS, LASTS, PATH, Invitation, Links
from services.notifier.settings import Settings
from shared.configuration import load
from shared.errors import Denied, Refused
from shared.events import SECOND
from shared.signed_links import LONGEST_TOKEN, Seal
from tests.factories import DUE

SECRET = "a secret of more than thirty-two characters"
ALERT = UUID("2a0b7c1e-5d1f-8a3e-9c55-0f6a1c2d3e4f")
NEEDED = {"KAFKA_BOOTSTRAP": "h:1", "DATABASE_URL": "postgresql://h/d", "NOTIFY_ROUTES": "notify.yaml"}


def links(secret: str = SECRET) -> Links:
    return Links("https://alerts.example.com/", secret)


def token(link: str) -> str:
    return link.removeprefix(f"https://alerts.example.com{PATH}")


@given(st.uuids())
def test_the_link_of_a_digest_says_which_one_and_is_no_link_to_an_alert(digest: UUID) -> None:
    made = links().of_digest(digest, DUE).removeprefix(f"https://alerts.example.com{DIGESTS}")
    assert links().digest_in(made, DUE + LASTS - SECOND) == digest
    for read in (lambda: links().read(made, DUE), lambda: links().digest_in(made, DUE + LASTS + SECOND)):
        with pytest.raises(Denied):
            read()


def test_the_link_of_an_alert_shows_no_digest() -> None:
    with pytest.raises(Denied):
        links().digest_in(token(links().to(ALERT, "desk", DUE)), DUE)


@given(st.uuids(), st.text(max_size=100))
def test_a_link_says_what_it_was_made_for(alert: UUID, receiver: str) -> None:
    if receiver.isprintable():
        link = links().to(alert, receiver, DUE)
        assert links().read(token(link), DUE) == Invitation(alert, receiver)


def test_a_link_holds_nothing_but_characters_of_urls() -> None:
    link = links().to(ALERT, "on-call ñ/?#", DUE)
    assert set(token(link)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_a_link_ends() -> None:
    made = token(links().to(ALERT, "team", DUE))
    assert links().read(made, DUE + LASTS - SECOND).alert == ALERT
    with pytest.raises(Denied):
        links().read(made, DUE + LASTS + SECOND)


@given(st.integers(0, 400), st.characters(codec="ascii"))
def test_a_link_that_was_changed_is_none_of_ours(place: int, put: str) -> None:
    made = token(links().to(ALERT, "team", DUE))
    place %= len(made) - 1  # the last character has bits that mean nothing
    changed = made[:place] + put + made[place + 1 :]
    if changed != made:
        with pytest.raises(Denied):
            links().read(changed, DUE)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "a.b.c",
        "..",
        "x" * (LONGEST_TOKEN + 1),
        # signed with another secret
        token(links(SECRET + "!").to(ALERT, "team", DUE)),
        # signed by us, for something else
        Seal(SECRET, "something else").signed({"alert": ALERT.hex, "to": "team"}, DUE + LASTS),
        # signed by us for this, by a version that says other things
        Seal(SECRET, "plazo alert").signed({"alert": "no id", "to": "team"}, DUE + LASTS),
        Seal(SECRET, "plazo alert").signed({"to": "team"}, DUE + LASTS),
        # without a signature: {"alg":"none"}
        "eyJhbGciOiJub25lIn0.eyJhbGVydCI6IjJhMGI3YzFlNWQxZjhhM2U5YzU1MGY2YTFjMmQzZTRmIiwidG8iOiJ0ZWFtIn0.",
    ],
)
def test_what_is_no_link_of_ours_opens_nothing(bad: str) -> None:
    with pytest.raises(Denied):
        links().read(bad, DUE)


def test_messages_carry_links_where_the_settings_say_so() -> None:
    url, secret = {"ALERT_LINK_URL": "https://alerts.example.com"}, {"ALERT_LINK_SECRET": SECRET}
    assert load(Settings, NEEDED).links is None
    assert load(Settings, NEEDED | url | secret).links is not None


@pytest.mark.parametrize(
    ("given_settings", "expected"),
    [
        ({"ALERT_LINK_URL": "https://alerts.example.com"}, "both ALERT_LINK_URL and ALERT_LINK_SECRET"),
        ({"ALERT_LINK_SECRET": SECRET}, "both ALERT_LINK_URL and ALERT_LINK_SECRET"),
        ({"ALERT_LINK_URL": "alerts.example.com", "ALERT_LINK_SECRET": SECRET}, "expected a URL like"),
        ({"ALERT_LINK_URL": "https://alerts.example.com", "ALERT_LINK_SECRET": "short"}, "expected 32 characters"),
    ],
)
def test_settings_of_links_that_do_not_fit_are_named(given_settings: dict[str, str], expected: str) -> None:
    with pytest.raises(Refused) as caught:
        load(Settings, NEEDED | given_settings)
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)
