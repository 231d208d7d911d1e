"""What must not be shown of a receiver's secrets when an answer echoes them, in every form in which it may. PURE."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

SHORTEST: Final = 4  # shorter texts stand everywhere, and are no secrets
TOKEN: Final = 8  # of a URL's path: the least length of a part that may be a token, and not a word like `hooks`


def forms(*secrets: str) -> tuple[str, ...]:
    """Every text in which one of *secrets* may be echoed, the longest first, so that none hides a part of another."""
    found = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def of_url(url: str) -> tuple[str, ...]:
    """What of *url* may be secret: all but its host. A path, a query and a password can each let somebody in."""
    parts = urlsplit(url)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    tokens = [part for part in parts.path.split("/") if len(part) >= TOKEN]
    values = [value for _, value in parse_qsl(parts.query)]
    whole = [url, f"{parts.path}?{parts.query}", parts.path, parts.query]
    return tuple(filter(None, [*whole, login.strip(":"), parts.password or "", *tokens, *values]))


def of_login(username: str | None, password: str | None) -> tuple[str, ...]:
    """What of a login at a mail server may be secret, also as it crosses the wire."""
    if not password:
        return ()
    return password, f"\0{username}\0{password}"


def _forms(secret: str) -> Iterator[str]:
    for text in {secret, unquote(secret), secret.removeprefix("whsec_")}:
        yield from (text, quote(text), quote(text, safe=""), quote_plus(text))
        yield from _quoted(text)
        yield b64encode(text.encode()).decode()


def _quoted(text: str) -> Iterable[str]:
    written = json.dumps(text)[1:-1]
    return written, written.replace("/", "\\/")
