"""`DATABASE_URL`: where PostgreSQL is, how the way there is protected, and connections to it.

It is the URL that PostgreSQL's own programs take, with their parameters: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`,
`target_session_attrs` and so on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import exc as sql_errors
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from shared.errors import Refused

SHAPE: Final = "postgresql://user:password@host:port/name"
MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def url_of(text: str) -> URL:
    """*text* (`postgresql://user:password@host:port/name`) for SQLAlchemy with asyncpg.

    Raises:
        Refused: it is no such URL, or names a file that cannot be read; its password is not repeated.
    """
    try:
        url = make_url(text)
    except (sql_errors.ArgumentError, ValueError) as exc:  # what stands in place of the port may be of the password
        raise Refused(f"DATABASE_URL: expected {SHAPE}, each part with %XX for what is special in it") from exc
    if "@" in (url.host or ""):
        raise Refused("DATABASE_URL: expected %40 for an @ in the password")  # the rest would be shown as a host
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise Refused(f"DATABASE_URL: expected a postgresql:// URL, got {url.get_backend_name()}://")
    if _mode(url) not in MODES:
        raise Refused(f"DATABASE_URL: sslmode: expected one of {', '.join(MODES)}, got {_mode(url)}")
    for name in _FILES:
        _readable(name, url.query.get(name))
    return url.set(drivername="postgresql+asyncpg")


def connecting(url: URL, **options: Any) -> Callable[[], Awaitable[asyncpg.Connection]]:
    """What opens a connection to *url*, with *options* of the client's."""
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn, **options)

    return connect


def exposure(url: URL) -> str | None:
    """What somebody in the network could do to connections to *url*; None when the server must prove its name."""
    if _mode(url) == "verify-full" or _is_on_this_machine(_host(url)):
        return None
    return (
        f"with sslmode={_mode(url)}, whoever is between here and {_host(url)} can read or change what is said: set"
        " sslmode=verify-full and sslrootcert in DATABASE_URL"
    )


def _readable(name: str, file: object) -> None:
    if file is None:
        return
    try:
        Path(str(file)).read_bytes()
    except OSError as exc:
        raise Refused(f"DATABASE_URL: {name}: {exc.strerror}: {file}") from exc


def _mode(url: URL) -> str:
    return str(url.query.get("sslmode", "prefer"))


def _host(url: URL) -> str:
    return str(url.host or url.query.get("host") or "localhost")


def _is_on_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.startswith("/")
