"""Texts that somebody carries for us and brings back unchanged, as the tokens in links do. PURE.

A token is a JWT, signed with a secret of the installation (HS256) for one use, and ends at an instant. It proves that
we made it, not who brings it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from shared.errors import Denied
from shared.events import SECOND, Instant

SHORTEST_SECRET: Final = 32  # characters; as many bytes as the hash has
LONGEST_TOKEN: Final = 2_048
_UNREADABLE: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
_ALGORITHM: Final = "HS256"
_REFUSED: Final = "The link is not one of ours, or has expired."


class Seal:
    """Signs tokens for one *use*, and reads those that it signed."""

    def __init__(self, secret: str, use: str) -> None:
        self._key = OctKey.import_key(secret)
        self._use = use

    def signed(self, told: Mapping[str, str], until: Instant) -> str:
        """A token that says *told* until an instant; characters of URLs only."""
        claims = {**told, "aud": self._use, "exp": until // SECOND}
        return jwt.encode({"alg": _ALGORITHM}, claims, self._key, algorithms=[_ALGORITHM])

    def read(self, token: str, now: Instant) -> Mapping[str, Any]:
        """What *token* says.

        Raises:
            Denied: it was not signed here for this use, was changed, or has ended.
        """
        if len(token) > LONGEST_TOKEN:
            raise Denied(_REFUSED)
        wanted = jwt.JWTClaimsRegistry(
            now=now // SECOND, leeway=0, aud={"essential": True, "value": self._use}, exp={"essential": True}
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            wanted.validate(claims)
        except _UNREADABLE as exc:
            raise Denied(_REFUSED) from exc
        return claims
