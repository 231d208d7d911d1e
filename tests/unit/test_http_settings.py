"""The settings of the HTTP side: what goes together, and what is told of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.configuration import load
from shared.errors import Refused
from shared.http_settings import HttpSettings
from shared.trust import Trust

OIDC = {"OIDC_ISSUER": "https://login.example.com", "OIDC_AUDIENCE": "plazo"}


def test_nobody_is_asked_unless_somebody_says_whom_to_let_in() -> None:
    assert not load(HttpSettings, {}).asks


@pytest.mark.parametrize("environment", [{"API_KEYS_FILE": "keys.yaml"}, OIDC, {**OIDC, "API_KEYS_FILE": "keys.yaml"}])
def test_keys_or_an_issuer_or_both(environment: dict[str, str]) -> None:
    assert load(HttpSettings, environment).asks


def test_the_file_of_keys_is_named_not_read(tmp_path: Path) -> None:
    settings = load(HttpSettings, {"API_KEYS_FILE": str(tmp_path / "missing.yaml")})
    assert settings.api_keys_file == tmp_path / "missing.yaml"


def test_what_a_token_must_be_like_is_all_set() -> None:
    more = {"OIDC_ALGORITHMS": "ES256, PS512", "OIDC_SCOPE_CLAIM": "roles", "OIDC_TENANT": "*", "OIDC_LEEWAY_S": "5"}
    assert load(HttpSettings, {**OIDC, **more}).trust == Trust(
        "https://login.example.com", "plazo", ("ES256", "PS512"), scope_claim="roles", tenant="*", leeway_s=5.0
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"OIDC_AUDIENCE": None}, "OIDC_ISSUER, OIDC_AUDIENCE: expected both or neither"),
        ({"OIDC_ISSUER": None}, "OIDC_ISSUER, OIDC_AUDIENCE: expected both or neither"),
        ({"OIDC_ISSUER": "http://login.example.com"}, "OIDC_ISSUER: expected https://"),
        ({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER: expected https://"),
        ({"OIDC_ISSUER": "https://"}, "OIDC_ISSUER: expected https://"),
        ({"OIDC_ISSUER": "https://[::1"}, "OIDC_ISSUER: expected https://"),
        ({"OIDC_JWKS_URL": "http://10.0.0.7/keys"}, "OIDC_JWKS_URL: expected https://"),
        ({"OIDC_JWKS_URL": "file:///keys"}, "OIDC_JWKS_URL: expected https://"),
        # Neither a secret that both sides know, nor no signature at all, can be chosen.
        ({"OIDC_ALGORITHMS": "HS256"}, "OIDC_ALGORITHMS[0]:"),
        ({"OIDC_ALGORITHMS": "RS256,none"}, "OIDC_ALGORITHMS[1]:"),
        ({"OIDC_ALGORITHMS": ""}, "OIDC_ALGORITHMS:"),
        ({"OIDC_TENANT": "a/b"}, "OIDC_TENANT: expected a tenant"),
        ({"OIDC_LEEWAY_S": "3600"}, "OIDC_LEEWAY_S:"),
    ],
)
def test_a_mistake_is_named_by_its_variable(changed: dict[str, str | None], told: str) -> None:
    environment = {name: value for name, value in {**OIDC, **changed}.items() if value is not None}
    with pytest.raises(Refused) as refused:
        load(HttpSettings, environment)
    assert told in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/realm", "http://localhost", "http://[::1]:9000"])
def test_an_issuer_on_this_machine_needs_no_tls(url: str) -> None:
    assert load(HttpSettings, {**OIDC, "OIDC_ISSUER": url}).asks
