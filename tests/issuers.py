"""An OpenID Connect issuer for tests: its keys, its tokens, and the two documents that it publishes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from shared.errors import Unavailable
from shared.events import SECOND, Instant, parse_instant
from shared.trust import Trust

ISSUER: Final = "https://login.example.com/realms/support"
NOON: Final = parse_instant("2026-01-05T12:00:00Z")
TRUST: Final = Trust(ISSUER, "plazo", ("RS256", "ES256", "Ed25519"))
# Making an RSA key takes a moment, and any will do.
RSA: Final = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER_RSA: Final = RSAKey.generate_key(2048, {"kid": "other"})
EC: Final = ECKey.generate_key("P-256", {"kid": "ec", "alg": "ES256"})
OKP: Final = OKPKey.generate_key("Ed25519", {"kid": "okp"})


def claims(now: Instant = NOON, **changes: Any) -> dict[str, Any]:
    """What a sound token says; `...` leaves a claim out."""
    at = now // SECOND
    sound = {
        "iss": ISSUER,
        "aud": "plazo",
        "sub": "alice",
        "iat": at,
        "exp": at + 300,
        "scope": "openid plazo:read",
        "tenant": "acme",
    }
    return {name: value for name, value in {**sound, **changes}.items() if value is not ...}


def signed(told: dict[str, Any], key: Key = RSA, alg: str = "RS256", **header: Any) -> str:
    """A token with these claims; *header* is added to its own."""
    fields = {name: value for name, value in {"alg": alg, "kid": key.kid, **header}.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jwt.encode(
        {name: value for name, value in fields.items() if value is not None}, told, key, registry=registry
    )


@dataclass
class FakeIssuer:
    """Answers for ISSUER as long as it is not away, and counts how often it is asked for its keys."""

    keys: list[Key] = field(default_factory=lambda: [RSA])
    more: list[dict[str, Any]] = field(default_factory=list)  # entries of its set that are no keys of ours
    away: bool = False
    asked: int = 0
    discovery: dict[str, Any] = field(default_factory=lambda: {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})

    async def fetch(self, url: str) -> bytes:
        """The document at *url*."""
        if self.away:
            raise Unavailable(f"{url} is away")
        if url.endswith("/.well-known/openid-configuration"):
            return msgspec.json.encode(self.discovery)
        assert url == f"{ISSUER}/keys"
        self.asked += 1
        return msgspec.json.encode({"keys": [*self.more, *(key.as_dict(private=False) for key in self.keys)]})
