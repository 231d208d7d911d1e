"""API keys: what opens, what does not, and the file that keeps their hashes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api_keys import ApiKey, KeyFile, fresh, hash_of, read, write
from shared.callers import Caller
from shared.errors import BadDocument, Denied
from shared.events import SECOND, parse_instant

NOON = parse_instant("2026-01-05T12:00:00Z")
IDENTITY, KEY = fresh(lambda count: bytes(range(count)))


def entry(**changes: Any) -> ApiKey:
    """The entry of KEY."""
    fields = {
        "id": IDENTITY,
        "name": "help desk",
        "tenant": "acme",
        "scopes": ["write"],
        "hash": hash_of(KEY),
        "created": NOON - 100 * SECOND,
    }
    return ApiKey.model_validate({**fields, **changes})


def test_a_key_is_known_by_its_hash() -> None:
    assert KeyFile(keys=(entry(),)).caller(KEY, NOON) == Caller("key abcdefgh", frozenset({"write"}), "acme")


def test_a_star_is_every_tenant() -> None:
    assert KeyFile(keys=(entry(tenant="*"),)).caller(KEY, NOON).tenant is None


def test_a_key_has_at_least_128_bits_of_chance_beside_its_id() -> None:
    taken: list[int] = []

    def chance(count: int) -> bytes:
        taken.append(count)
        return bytes(count)

    fresh(chance)
    assert 8 * taken[-1] >= 128


def test_the_file_does_not_hold_the_key() -> None:
    secret = KEY.rpartition("_")[2]
    text = write(KeyFile(keys=(entry(),)))
    assert hash_of(KEY) in text
    assert secret not in text


@pytest.mark.parametrize(
    "shown",
    [
        KEY[:-1],  # cut
        KEY[:-1] + "0",  # its last character is another
        KEY + " ",
        KEY.upper(),
        KEY.replace("abcdefgh", "abcdefgi"),  # an id that nobody has
        "plazo_abcdefgh_",
        "plazo_",
        hash_of(KEY),  # what the file holds opens nothing
        "",
    ],
)
def test_what_is_no_key_opens_nothing_and_is_told_nothing(shown: str) -> None:
    with pytest.raises(Denied, match=r"^The API key is not known\.$"):
        KeyFile(keys=(entry(),)).caller(shown, NOON)


@given(st.text())
def test_no_text_breaks_the_look_at_it(shown: str) -> None:
    with pytest.raises(Denied):
        KeyFile(keys=(entry(),)).caller("plazo_" + shown, NOON)


def test_a_key_is_good_until_the_instant_at_which_it_expires() -> None:
    keys = KeyFile(keys=(entry(expires=NOON),))
    assert keys.caller(KEY, NOON - 1).tenant == "acme"
    with pytest.raises(Denied, match="expired at 2026-01-05T12:00:00Z"):
        keys.caller(KEY, NOON)


def test_a_revoked_key_opens_nothing_whatever_the_clock_says() -> None:
    with pytest.raises(Denied, match="was revoked"):
        KeyFile(keys=(entry(revoked=NOON),)).caller(KEY, NOON - 50 * SECOND)


def test_only_who_has_the_key_hears_why_it_ended() -> None:
    with pytest.raises(Denied, match="not known"):
        KeyFile(keys=(entry(revoked=NOON),)).caller(KEY[:-1] + "0", NOON)


def test_what_is_written_is_read() -> None:
    keys = KeyFile(keys=(entry(), entry(id="zzzzzzzz", tenant="*", scopes=["read", "metrics"], expires=NOON)))
    assert read(write(keys), "keys.yaml") == keys


def test_an_empty_file_lets_nobody_in() -> None:
    assert read("", "keys.yaml") == KeyFile()


SOUND = """keys:
- {id: abcdefgh, name: a, tenant: acme, scopes: [read], created: '2026-01-05T12:00:00Z',
   hash: 'sha256:%s'}
"""


@pytest.mark.parametrize(
    ("changed", "to", "field"),
    [
        ("tenant: acme", "tenant: a/b", "keys[0].tenant: expected a tenant"),
        ("tenant: acme, ", "", "keys[0].tenant: is required"),
        ("[read]", "[]", "keys[0]: expected some of the scopes"),
        ("[read]", "[metrics]", "keys[0]: metrics are of all tenants"),
        ("[read]", "[everything]", "keys[0].scopes[0]: expected 'read'"),
        ("abcdefgh", "Abc", "keys[0].id: expected"),
        ("sha256:", "md5:", "keys[0].hash: expected"),
        ("2026-01-05T12:00:00Z", "yesterday", "keys[0].created: "),
        ("name: a", "nam: a", "keys[0].nam: is not known here"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(changed: str, to: str, field: str) -> None:
    with pytest.raises(BadDocument) as refused:
        read((SOUND % (64 * "0")).replace(changed, to), "keys.yaml")
    assert any(re.match(rf"keys.yaml:[23]: {re.escape(field)}", str(each)) for each in refused.value.problems), refused


def test_an_id_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(BadDocument, match="got twice: abcdefgh"):
        read(write(KeyFile.model_construct(keys=(entry(), entry()))), "keys.yaml")
