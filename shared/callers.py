"""Who asks over HTTP, and what they may. PURE.

A scope says what a credential is good for, its tenant whose items it shows and speaks for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["read", "write", "metrics", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
ALL_TENANTS: Final = "*"
"""How people write that a credential is good for every tenant."""

_LOOKS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What tells nothing of anybody: whether the process lives, and the documentation, which is the same everywhere.
_OPEN: Final = frozenset(
    {"/", "/healthz/live", "/healthz/ready", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
)
# The scripts of the documentation; and links in messages, which carry their credential themselves.
_OPEN_FOLDERS: Final = ("/static-offline-docs/", "/alerts/")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks."""

    name: str  # for the log: `key k7…`, `subject alice`
    scopes: frozenset[Scope]
    tenant: str | None = None  # None: every tenant

    def may(self, scope: Scope) -> bool:
        """Whether *scope* is among what the caller may do.

        Metrics are of all tenants at once, so a caller of one tenant may not read them.
        """
        if scope == "metrics" and self.tenant is not None:
            return False
        return scope in self.scopes or "admin" in self.scopes

    def sees(self, tenant: str) -> bool:
        """Whether items of *tenant* exist for the caller."""
        return self.tenant is None or self.tenant == tenant


ANYBODY: Final = Caller("anybody", frozenset({"admin"}))
"""Whoever reaches a process that asks nobody who they are."""

NOBODY: Final = Caller("nobody", frozenset())
"""Whoever shows no credential to a process that asks for one."""


def needed_scope(method: str, path: str) -> Scope | None:
    """What a request needs; None where it needs no credential.

    It follows from the request alone, so that no route can forget to ask.
    """
    if path in _OPEN or path.startswith(_OPEN_FOLDERS):
        return None
    if path == "/metrics":
        return "metrics"
    return "read" if method in _LOOKS else "write"


def tenant_named(text: str) -> str | None:
    """The tenant of a caller as it is written down: None for `*`."""
    return None if text == ALL_TENANTS else text


def unfit_tenant(text: str) -> str | None:
    """What keeps *text* from being a tenant (or `*`), or None."""
    if 0 < len(text) <= 128 and "/" not in text and "\0" not in text:
        return None
    return "expected a tenant of 1 to 128 characters without `/`, or `*` for all"


def unfit_scopes(scopes: Collection[Scope], tenant: str) -> str | None:
    """What keeps a credential for *tenant* (or `*`) from having *scopes*, or None."""
    if not scopes:
        return f"expected some of the scopes {', '.join(SCOPES)}"
    if "metrics" in scopes and tenant != ALL_TENANTS:
        return "metrics are of all tenants at once: expected the tenant `*` with this scope"
    return None
