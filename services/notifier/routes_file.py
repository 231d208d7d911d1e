"""`notify.yaml`: its text as checked routes, or every problem in it. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from services.notifier.endpoints.values import Strict
from services.notifier.endpoints.webhook import Webhook
from services.notifier.receivers import Receiver
from services.notifier.routing import NOTHING, TYPE_NAMES, Match, Route, Routes, covers
from shared.documents import Document, Path, validate
from shared.errors import BadDocument, Problem
from shared.events import Kind, Severity

_CHOICES: Final = {
    "type": frozenset(TYPE_NAMES.values()),
    "kind": frozenset(get_args(Kind)),
    "severity": frozenset(get_args(Severity)),
}


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("expected a value or a list of values")


def _allowed(value: Any) -> frozenset[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ValueError("expected at least one value")
    return frozenset(map(_text, values))


_Scalar = str | int | float | bool | None
_Values = Annotated[frozenset[str], BeforeValidator(_allowed, json_schema_input_type=_Scalar | list[_Scalar])]


class _Route(Strict):
    name: str | None = Field(None, min_length=1)
    match: dict[str, _Values] = Field(default_factory=dict)
    receivers: tuple[str, ...]
    goes_on: bool = Field(default=False, alias="continue")

    @field_validator("match")
    @classmethod
    def _known(cls, match: Match) -> Match:
        for name, choices in _CHOICES.items():
            unknown = match.get(name, frozenset()) - choices
            if unknown:
                raise ValueError(f"{name}: expected {', '.join(sorted(choices))}, got {', '.join(sorted(unknown))}")
        return match


class _File(Strict):
    receivers: dict[str, Receiver] = Field(min_length=1)
    routes: tuple[_Route, ...]


def parse(text: str, file: str) -> Routes:
    """The routes that *text* describes.

    Raises:
        BadDocument: with every problem, each with file, line, field and what was expected.
    """
    document = Document(text, file)
    checked = validate(document, _File)
    problems = list(_problems(document, checked))
    if problems:
        raise BadDocument(problems)
    routes = tuple(
        Route(_name(given, at), given.match, given.receivers, given.goes_on, document.line(("routes", at)))
        for at, given in enumerate(checked.routes)
    )
    lines = {name: document.line(("receivers", name)) for name in checked.receivers}
    return Routes(file, checked.receivers, routes, lines)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `notify.yaml`, for editors."""
    return _File.model_json_schema(by_alias=True)


def findings(routes: Routes) -> list[Problem]:
    """What is allowed but hardly meant: receivers never used, routes never reached, secrets in plain sight."""
    return [*_unused(routes), *_unreachable(routes), *_exposed(routes)]


def _name(given: _Route, at: int) -> str:
    return given.name or ("default" if not given.match else f"number {at + 1}")


def _problems(document: Document, checked: _File) -> Iterator[Problem]:
    names: set[str] = set()
    for at, given in enumerate(checked.routes):
        place: Path = ("routes", at)
        name = _name(given, at)
        if name in names:
            yield document.problem((*place, "name"), f"another route is named {name!r}; names tell deliveries apart")
        names.add(name)
        for n, receiver in enumerate(given.receivers):
            if receiver not in checked.receivers:
                known = ", ".join(checked.receivers)
                yield document.problem(
                    (*place, "receivers", n), f"expected one of the receivers {known}, got {receiver!r}"
                )
    if not any(not given.match and not given.goes_on for given in checked.routes):
        yield document.problem(
            ("routes",),
            "expected a last route without match, which takes everything else (receivers: [] alerts nobody)",
        )


def _unused(routes: Routes) -> Iterator[Problem]:
    used = {name for each in routes.routes for name in each.receivers}
    for name, line in routes.lines.items():
        if name not in used:
            yield Problem(routes.file, line, f"receivers.{name}", "no route names this receiver")


def _unreachable(routes: Routes) -> Iterator[Problem]:
    for at, each in enumerate(routes.routes):
        for earlier in routes.routes[:at]:
            if not earlier.goes_on and covers(earlier.match, each.match):
                yield Problem(
                    routes.file,
                    each.line,
                    f"routes[{at}]",
                    f"never reached: route {earlier.name} takes all of it before",
                )
                break


def _exposed(routes: Routes) -> Iterator[Problem]:
    for name, receiver in routes.receivers.items():
        place = f"receivers.{name}.{receiver.channel}"
        line = routes.lines[name]
        if receiver.webhook is not None:
            yield from (Problem(routes.file, line, place, text) for text in _exposed_by(receiver.webhook))
        if receiver.email is not None:
            smtp = receiver.email.smtp
            if smtp.username and not (smtp.starttls or smtp.tls):
                yield Problem(
                    routes.file, line, place, "the password crosses the network in the clear: use starttls or tls"
                )


def _exposed_by(webhook: Webhook) -> Iterator[str]:
    parts = urlsplit(webhook.url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        yield "alerts cross the network in the clear: use an https URL"
    if webhook.secret is not None:
        yield "the secret stands in the file: use secret_env or secret_file"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
