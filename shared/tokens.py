"""Tokens (JWT) of an OpenID Connect issuer: what in them counts, and who shows one. PURE.

The algorithm is one of our own list, never the token's choice: so neither `none` nor a public key used as the secret of
an HMAC can pass. A symmetric key is never used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key

from shared.callers import SCOPES, Caller, Scope, tenant_named, unfit_tenant
from shared.errors import Denied
from shared.events import SECOND, Instant
from shared.trust import Algorithm, Trust

# What the library raises for texts, keys and claims that it cannot read at all, beside its own errors.
_UNREADABLE: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_HEADER_BYTES: Final = 4096
_LONGEST_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Signer:
    """Who claims to have signed a token."""

    key_id: str | None
    algorithm: Algorithm


def signer(token: str, trust: Trust) -> Signer:
    """Which key a token says it is signed with; nothing of it is proven yet.

    Raises:
        Denied: it is no token, or signed in a way that does not count.
    """
    try:
        header = jws.extract_compact(token.encode(), registry=_registry(trust)).protected
    except _UNREADABLE as exc:
        raise Denied("The credential is neither an API key nor a token.") from exc
    algorithm = next((each for each in trust.algorithms if each == header.get("alg")), None)
    if algorithm is None:
        raise Denied(f"The token's signature is none of {', '.join(trust.algorithms)}.")
    key_id = header.get("kid")
    return Signer(key_id if isinstance(key_id, str) else None, algorithm)


def public_keys(told: Iterable[Mapping[str, Any]]) -> list[Key]:
    """The keys of an issuer with which signatures can be checked; others in its list are passed over."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", SecurityWarning)  # a key that the library warns of, a short one, does not count
        for fields in told:
            try:
                if fields.get("kty") in _KEY_TYPES and fields.get("use", "sig") == "sig":
                    found.append(JWKRegistry.import_key(dict(fields)))
            except (*_UNREADABLE, SecurityWarning):
                continue
    return found


def key_for(asked: Signer, keys: Iterable[Key]) -> Key | None:
    """The key that a token was signed with; one that names none must be of an issuer with one key."""
    fitting = [key for key in keys if key.get("alg", asked.algorithm) == asked.algorithm]
    if asked.key_id is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.kid == asked.key_id), None)


def caller_of(token: str, key: Key, trust: Trust, *, now: Instant) -> Caller:
    """Who shows *token*, which *key* must have signed.

    Raises:
        Denied: the signature is wrong, the token is not for us, not of now, or does not say whose it is.
    """
    claims = _claims(token, key, trust, now)
    tenant = _tenant(claims, trust)
    return Caller(f"subject {claims['sub']}", _scopes(claims, trust), tenant_named(tenant))


def _registry(trust: Trust) -> jws.JWSRegistry:
    # Issuers add fields of their own to the header, which say nothing to us.
    registry = jws.JWSRegistry(algorithms=list(trust.algorithms), strict_check_header=False)
    registry.max_header_length = _HEADER_BYTES
    return registry


def _claims(token: str, key: Key, trust: Trust, now: Instant) -> dict[str, Any]:
    try:
        claims = jwt.decode(token, key, registry=_registry(trust)).claims
    except _UNREADABLE as exc:
        raise Denied("The token's signature is wrong.") from exc
    wanted = jwt.JWTClaimsRegistry(
        now=now // SECOND,
        leeway=round(trust.leeway_s),
        iss={"essential": True, "value": trust.issuer},
        aud={"essential": True, "value": trust.audience},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        wanted.validate(claims)
    except ExpiredTokenError as exc:
        raise Denied("The token has expired.") from exc
    except (MissingClaimError, InvalidClaimError) as exc:
        raise Denied(f"The token's claims do not fit. {exc.description}.") from exc
    if len(claims["sub"]) > _LONGEST_NAME:
        raise Denied(f"The token's claims do not fit. The claim 'sub' is longer than {_LONGEST_NAME} characters.")
    return claims


def _scopes(claims: Mapping[str, Any], trust: Trust) -> frozenset[Scope]:
    told = _claim(claims, trust.scope_claim)
    names = told.split() if isinstance(told, str) else told if isinstance(told, list) else []
    return frozenset(scope for scope in SCOPES if f"{trust.scope_prefix}{scope}" in names)


def _tenant(claims: Mapping[str, Any], trust: Trust) -> str:
    told = _claim(claims, trust.tenant_claim)
    tenant = trust.tenant if told is None else told
    if not isinstance(tenant, str) or unfit_tenant(tenant):
        raise Denied(f"The token's claims do not fit. The claim '{trust.tenant_claim}' names no tenant.")
    return tenant


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    # A name with dots is a claim of that name, as issuers make them of addresses, else the way into nested claims.
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
