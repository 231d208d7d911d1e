"""Tokens: which count, whose they are, and what none of the usual tricks opens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import Key, OctKey, RSAKey

from shared.callers import Caller
from shared.errors import Denied
from shared.events import SECOND, Instant
from shared.tokens import caller_of, key_for, public_keys, signer
from shared.trust import Trust
from tests.issuers import EC, NOON, OKP, OTHER_RSA, RSA, TRUST, claims, signed

KEYS = public_keys([key.as_dict(private=False) for key in (RSA, EC, OKP)])


def known(token: str, trust: Trust = TRUST, *, keys: list[Key] = KEYS, now: Instant = NOON) -> Caller:
    """Who shows *token*, as the parts tell together."""
    key = key_for(signer(token, trust), keys)
    if key is None:
        raise Denied("no such key")
    return caller_of(token, key, trust, now=now)


def encoded(part: Any) -> str:
    """One part of a token, made by hand."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (EC, "ES256"), (OKP, "Ed25519")])
def test_a_sound_token_says_who_what_and_whose(key: Key, alg: str) -> None:
    assert known(signed(claims(), key, alg)) == Caller("subject alice", frozenset({"read"}), "acme")


@pytest.mark.parametrize(
    ("changed", "scopes"),
    [
        ({"scope": "plazo:read plazo:write plazo:admin plazo:metrics"}, {"read", "write", "admin", "metrics"}),
        ({"scope": ["plazo:write", "email"]}, {"write"}),
        # Others' scopes are not ours, and neither is the beginning of one.
        ({"scope": "read other:read plazo:reader"}, set()),
        ({"scope": ...}, set()),
        ({"scope": 7}, set()),
        ({"scope": {"plazo:read": True}}, set()),
        ({"scope": ["plazo:read", 7, None]}, {"read"}),
    ],
)
def test_scopes_are_those_with_our_prefix(changed: dict[str, Any], scopes: set[str]) -> None:
    assert known(signed(claims(**changed))).scopes == scopes


def test_a_claim_can_lie_within_another_or_have_dots_in_its_name() -> None:
    trust = replace(TRUST, scope_claim="realm_access.roles", tenant_claim="https://example.com/tenant")
    told = {**claims(realm_access={"roles": ["plazo:write"]}), "https://example.com/tenant": "globex"}
    assert known(signed(told), trust) == Caller("subject alice", frozenset({"write"}), "globex")


@pytest.mark.parametrize(
    ("named", "default", "tenant"),
    [("acme", None, "acme"), ("*", None, None), (..., "acme", "acme"), (..., "*", None), ("globex", "acme", "globex")],
)
def test_the_tenant_is_the_token_s_or_that_of_tokens_that_name_none(named: Any, default: Any, tenant: Any) -> None:
    assert known(signed(claims(tenant=named)), replace(TRUST, tenant=default)).tenant == tenant


@pytest.mark.parametrize("tenant", [..., None, "", "a/b", 7, ["acme"], {"a": 1}, "x" * 129, True])
def test_a_token_that_names_no_tenant_is_refused(tenant: Any) -> None:
    with pytest.raises(Denied, match="'tenant' names no tenant"):
        known(signed(claims(tenant=tenant)))


@pytest.mark.parametrize("tenant", ["", "a/b", 7, ["acme"]])
def test_a_tenant_that_is_none_does_not_become_that_of_tokens_without_one(tenant: Any) -> None:
    with pytest.raises(Denied, match="'tenant' names no tenant"):
        known(signed(claims(tenant=tenant)), replace(TRUST, tenant="*"))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://login.example.com/realms/other"},
        {"iss": "https://login.example.com/realms/support/"},
        {"iss": ...},
        {"iss": ["https://login.example.com/realms/support"]},
        {"aud": "other"},
        {"aud": ["other", "another"]},
        {"aud": []},
        {"aud": ...},
        {"aud": "plazo other"},
        {"exp": ...},
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": True},
        {"exp": math.nan},
        {"exp": math.inf},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 257},
        {"nbf": "now"},
    ],
)
def test_claims_that_do_not_fit_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Denied, match="do not fit"):
        known(signed(claims(**changed)))


def test_one_audience_of_several_may_be_us() -> None:
    assert known(signed(claims(aud=["other", "plazo"]))).tenant == "acme"


AT = NOON // SECOND


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        # Clocks may be 30 s apart, not more.
        ({"exp": AT - 29}, True),
        ({"exp": AT - 30}, False),
        ({"nbf": AT + 30}, True),
        ({"nbf": AT + 31}, False),
        ({"iat": AT + 30}, True),
        ({"iat": AT + 31}, False),
        ({"exp": AT + 0.5}, True),
        ({"exp": 10**400}, True),
        ({"exp": -(10**400)}, False),
    ],
)
def test_a_token_counts_in_its_time(changed: dict[str, Any], fits: bool) -> None:
    token = signed(claims(**changed))
    if fits:
        assert known(token).tenant == "acme"
    else:
        with pytest.raises(Denied):
            known(token)


def test_an_expired_token_is_told_so() -> None:
    with pytest.raises(Denied, match=r"^The token has expired\.$"):
        known(signed(claims()), now=NOON + 3600 * SECOND)


def test_a_token_without_a_signature_is_refused_whatever_its_case() -> None:
    for alg in ("none", "None", "NONE", "nOnE", ""):
        token = f"{encoded({'alg': alg, 'kid': 'rsa'})}.{encoded(claims())}."
        with pytest.raises(Denied):
            known(token)


@pytest.mark.parametrize("secret", [RSA.as_pem(private=False), str(RSA.as_dict(private=False)["n"]).encode()])
def test_the_public_key_is_no_secret_of_an_hmac(secret: bytes) -> None:
    head, body = encoded({"alg": "HS256", "kid": "rsa"}), encoded(claims())
    seal = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    with pytest.raises(Denied, match=r"is none of RS256, ES256, Ed25519|neither"):
        known(f"{head}.{body}.{encoded(seal)}")


def test_an_algorithm_that_is_not_set_does_not_count() -> None:
    with pytest.raises(Denied, match="none of RS256"):
        known(signed(claims(), alg="RS512"))


def test_an_algorithm_of_another_kind_than_the_key_does_not_count() -> None:
    head, body = encoded({"alg": "ES256", "kid": "rsa"}), encoded(claims())
    with pytest.raises(Denied):
        known(f"{head}.{body}.{encoded(bytes(64))}")


def test_a_key_that_is_for_another_algorithm_is_not_used() -> None:
    fields = {**RSA.as_dict(private=False), "alg": "RS512"}
    with pytest.raises(Denied, match="no such key"):
        known(signed(claims()), keys=public_keys([fields]))


def test_another_s_signature_under_our_key_s_name_is_refused() -> None:
    with pytest.raises(Denied, match="signature is wrong"):
        known(signed(claims(), OTHER_RSA, kid="rsa"))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": OTHER_RSA.as_dict(private=False), "kid": "rsa"},
        {"jwk": OTHER_RSA.as_dict(private=False), "kid": None},
        {"jku": "https://evil.example.com/keys", "kid": "other"},
        {"x5u": "https://evil.example.com/chain", "kid": "other"},
        {"kid": "../../dev/null"},
    ],
)
def test_a_token_does_not_bring_its_own_key(header: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        known(signed(claims(), OTHER_RSA, **header))


def test_an_extension_that_must_be_understood_is_not() -> None:
    head = {"alg": "RS256", "kid": "rsa", "crit": ["https://example.com/x"], "https://example.com/x": 1}
    with pytest.raises(Denied):
        known(f"{encoded(head)}.{encoded(claims())}.{encoded(b'seal')}")


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, seal = signed(claims()).split(".")
    with pytest.raises(Denied, match="signature is wrong"):
        known(f"{head}.{encoded(claims(tenant='globex'))}.{seal}")


def test_a_token_that_names_no_key_needs_an_issuer_with_one() -> None:
    token = signed(claims(), kid=None)
    assert known(token, keys=public_keys([RSA.as_dict(private=False)])).tenant == "acme"
    with pytest.raises(Denied, match="no such key"):
        known(token, keys=public_keys([RSA.as_dict(private=False), OTHER_RSA.as_dict(private=False)]))


@pytest.mark.parametrize(
    "fields",
    [
        OctKey.generate_key(256, {"kid": "rsa"}).as_dict(),  # a secret that was published is none
        {**RSA.as_dict(private=False), "use": "enc"},
        {"kty": "RSA", "kid": "rsa"},
        {"kty": "RSA", "kid": "rsa", "n": "!", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "quantum"},
        {"kty": ["RSA"]},
        {},
    ],
)
def test_what_is_no_key_for_signatures_is_passed_over(fields: dict[str, Any]) -> None:
    assert [key.kid for key in public_keys([fields, EC.as_dict(private=False)])] == ["ec"]


def test_a_short_key_does_not_count() -> None:
    short = {"kty": "RSA", "kid": "short", "n": encoded((2**1023 + 1).to_bytes(128)), "e": "AQAB"}
    assert public_keys([short]) == []


TEXTS = st.text() | st.from_regex(r"[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


@given(TEXTS)
def test_no_text_breaks_the_look_at_it(text: str) -> None:
    with pytest.raises(Denied):
        known(text)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ", "zip", "enc"]), JSON), JSON)
def test_no_header_breaks_the_look_at_it(header: Any, payload: Any) -> None:
    with pytest.raises(Denied):
        known(f"{encoded({'alg': 'RS256', **header})}.{encoded(payload)}.{encoded(b'seal')}")


@given(st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "scope", "tenant", "jti"]), JSON))
def test_no_claims_break_the_look_at_them(told: dict[str, Any]) -> None:
    # Signed by the issuer, and nonsense all the same: it is refused, or means what sound ones mean.
    try:
        found = caller_of(signed({**claims(), **told}, EC, "ES256"), KEYS[1], TRUST, now=NOON)
    except Denied:
        return
    assert found.tenant == (None if told.get("tenant") == "*" else {**claims(), **told}["tenant"])


@given(st.dictionaries(st.sampled_from(["kty", "kid", "use", "alg", "n", "e", "x", "y", "crv", "k", "d"]), JSON))
def test_no_set_of_keys_breaks_the_look_at_it(fields: dict[str, Any]) -> None:
    assert public_keys([fields]) == []


def test_a_key_of_the_issuer_is_kept_without_its_private_part_being_needed() -> None:
    assert isinstance(KEYS[0], RSAKey)
    assert not KEYS[0].is_private
