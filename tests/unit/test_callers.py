"""Who may do what over HTTP."""

from __future__ import annotations

import pytest

from shared.callers import ANYBODY, NOBODY, SCOPES, Caller, Scope, needed_scope


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        # Looking.
        ("GET", "/v1/clocks", "read"),
        ("HEAD", "/v1/clocks", "read"),
        ("OPTIONS", "/v1/clocks", "read"),
        # Everything else changes something, also a method that nobody has yet.
        ("POST", "/v1/events", "write"),
        ("DELETE", "/v1/clocks", "write"),
        ("BREW", "/v1/clocks", "write"),
        # Of all tenants.
        ("GET", "/metrics", "metrics"),
        # Open: probes, and pages that are the same everywhere.
        ("GET", "/", None),
        ("GET", "/healthz/live", None),
        ("GET", "/healthz/ready", None),
        ("GET", "/openapi.json", None),
        ("GET", "/static-offline-docs/swagger-ui.css", None),
        # What only looks like it is closed.
        ("GET", "/healthz/live/", "read"),
        ("GET", "/healthz/live/../../v1/clocks", "read"),
        ("GET", "//", "read"),
        ("GET", "/docs/v1/clocks", "read"),
        ("GET", "/metrics/", "read"),
    ],
)
def test_what_a_request_needs(method: str, path: str, needed: Scope | None) -> None:
    assert needed_scope(method, path) == needed


@pytest.mark.parametrize(
    ("caller", "able"),
    [
        (Caller("a", frozenset({"read"})), {"read"}),
        (Caller("a", frozenset({"write"}), "acme"), {"write"}),
        # All of it, but metrics, which are everybody's.
        (Caller("a", frozenset({"admin"})), {"read", "write", "metrics", "admin"}),
        (Caller("a", frozenset({"admin"}), "acme"), {"read", "write", "admin"}),
        (Caller("a", frozenset({"metrics"}), "acme"), set()),
        (ANYBODY, {"read", "write", "metrics", "admin"}),
        (NOBODY, set()),
    ],
)
def test_what_a_caller_may_do(caller: Caller, able: set[str]) -> None:
    assert {scope for scope in SCOPES if caller.may(scope)} == able


def test_a_caller_of_one_tenant_sees_no_other() -> None:
    caller = Caller("a", frozenset({"read"}), "acme")
    assert (caller.sees("acme"), caller.sees("globex"), caller.sees("acme/x"), caller.sees("")) == (
        True,
        False,
        False,
        False,
    )
    assert ANYBODY.sees("acme")
